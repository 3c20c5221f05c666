package httpapi

import (
	"time"

	"github.com/skaldhq/skald/access"
)

// Route is what a test may know of a route.
type Route struct {
	Method, Path, Operation string
	Query                   []string
	Open                    bool
	Role                    access.Role
}

// Routes are all routes of a handler.
func Routes() []Route {
	var all []Route
	for _, x := range routes() {
		all = append(all, Route{x.method, x.path, x.operation, x.query, x.open, x.role})
	}
	return all
}

// ReportOf is what is answered at a moment.
func ReportOf(a *Activity, now time.Time) ActivityReport {
	return a.report(now, func(string) bool { return true })
}
