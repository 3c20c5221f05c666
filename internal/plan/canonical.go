package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/skaldhq/skald/participant"
)

// The canonical form. Its fields and their order are durable: a change of either changes every version.
type canonicalPlan struct {
	Skald         int               `json:"skald"` // version of this form
	Name          string            `json:"name"`
	Revision      string            `json:"revision,omitempty"`
	Input         string            `json:"input"`
	Deadline      string            `json:"deadline,omitempty"`
	IncidentAfter string            `json:"incident_after"`
	Durability    string            `json:"durability"`
	Remedies      []canonicalRemedy `json:"remedies,omitempty"`
	Steps         []canonicalStep   `json:"steps"`
}

type canonicalRemedy struct {
	Reason  string `json:"reason"`
	Meaning string `json:"meaning"`
	Does    string `json:"does"`
	Budget  int    `json:"budget,omitempty"`
	Pause   string `json:"pause,omitempty"`
}

type canonicalStep struct {
	Name              string          `json:"name"`
	Kind              string          `json:"kind"`
	Action            string          `json:"action"`
	Compensation      string          `json:"compensation,omitempty"`
	After             []string        `json:"after"`
	Reads             []string        `json:"reads"`
	Input             string          `json:"input"`
	Output            string          `json:"output"`
	Strict            bool            `json:"strict,omitempty"`
	Stored            bool            `json:"stored,omitempty"`
	Timeout           string          `json:"timeout"`
	Deadline          string          `json:"deadline,omitempty"`
	Retry             canonicalRetry  `json:"retry"`
	CompensationRetry *canonicalRetry `json:"compensation_retry,omitempty"`
	Events            Events          `json:"events"`
	Reasons           []string        `json:"reasons"`
}

type canonicalRetry struct {
	Initial  string  `json:"initial"`
	Factor   float64 `json:"factor"`
	Jitter   float64 `json:"jitter"`
	Cap      string  `json:"cap"`
	Attempts int     `json:"attempts"` // 0: no limit
}

// canonical returns the canonical JSON of a definition and its version: the first 16 hexadecimal digits of its SHA-256.
func canonical(d *Draft, p *Plan) (text []byte, version string) {
	c := canonicalPlan{
		Skald: 1, Name: p.Name, Revision: d.Revision, Input: d.Input, Deadline: duration(p.Deadline),
		IncidentAfter: p.IncidentAfter.String(), Durability: p.Durability.String(),
	}
	if p.IncidentAfter < 0 {
		c.IncidentAfter = "never"
	}
	for _, r := range p.Remedies {
		c.Remedies = append(c.Remedies, canonicalRemedy{r.Reason, r.Meaning, r.Does.String(), r.Budget, duration(r.Pause)})
	}
	for i := range p.Steps {
		c.Steps = append(c.Steps, p.canonicalStep(i))
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(c); err != nil {
		panic("plan: strings and numbers do not encode: " + err.Error()) // cannot happen
	}
	text = bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	sum := sha256.Sum256(text)
	return text, hex.EncodeToString(sum[:8])
}

func (p *Plan) canonicalStep(i int) canonicalStep {
	s := &p.Steps[i]
	c := canonicalStep{
		Name: s.Name, Kind: s.Kind.String(), Action: s.Action, Compensation: s.Compensation,
		After: p.names(p.Preds[i]), Reads: make([]string, 0, len(s.Reads)), Input: s.Input, Output: s.Output, Strict: s.Strict, Stored: s.Stored,
		Timeout: s.Timeout.String(), Deadline: duration(s.Deadline), Retry: s.Retry.canonical(), Events: s.Events,
		Reasons: append([]string{}, s.Reasons...),
	}
	for _, j := range s.Reads {
		c.Reads = append(c.Reads, p.Steps[j].Name)
	}
	if s.Kind == participant.Compensatable {
		undo := s.Undo.canonical()
		c.CompensationRetry = &undo
	}
	return c
}

func (p *Plan) names(s Set) []string {
	names := make([]string, 0, s.Len())
	for i := range s.All {
		names = append(names, p.Steps[i].Name)
	}
	return names
}

func (r Retry) canonical() canonicalRetry {
	return canonicalRetry{r.Initial.String(), r.Factor, r.Jitter, r.Cap.String(), r.Attempts}
}

func duration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}
