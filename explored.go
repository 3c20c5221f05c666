package skald

import "github.com/skaldhq/skald/internal/plan"

// PlanOf gives Skald's own parts, such as package skaldtest, a definition without its types. What it returns is internal: it changes
// without notice, and cannot be named outside this module.
func PlanOf(s Registered) *plan.Plan { return s.compiledPlan() }
