package httpapi

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// Filter selects sagas. A field that is left out selects everything; in a request, one that is given and empty is refused.
type Filter struct {
	ID             skald.SagaID  `json:"id,omitempty"`
	Definition     string        `json:"definition,omitempty"`
	Version        string        `json:"version,omitempty"`
	Key            string        `json:"key,omitempty"` // business key
	Mode           skald.Mode    `json:"mode,omitempty"`
	States         []skald.State `json:"states,omitempty"`          // any of them
	Unended        bool          `json:"unended,omitempty"`         // only sagas without an outcome
	Incident       bool          `json:"incident,omitempty"`        // only sagas with an open incident
	Step           string        `json:"step,omitempty"`            // the step with the oldest open incident; without one, the step it is at, or the cause of turning back
	Reason         string        `json:"reason,omitempty"`          // reason code of turning back
	IncidentReason string        `json:"incident_reason,omitempty"` // reason code of the oldest open incident
	StartedBefore  time.Time     `json:"started_before,omitzero"`
	StartedAfter   time.Time     `json:"started_after,omitzero"` // at or after
}

// Listing is a Filter and which page of what matches.
type Listing struct {
	Filter
	Oldest bool   // oldest first; otherwise newest first
	Cursor string // SagaPage.Next of the page before, with the same filter
	Limit  int    // sagas on a page, up to 1,000; 0 means 100
}

// Empty says whether the filter selects every saga.
func (f *Filter) Empty() bool { return len(f.values()) == 0 }

// check returns what is wrong with a filter. The place of a field is its name behind prefix.
func (f *Filter) check(prefix, states string) (faults []Fault) {
	if !isMode(f.Mode) {
		faults = append(faults, Fault{prefix + "mode", "this is no mode: use orchestrated or choreographed"})
	}
	for _, s := range f.States {
		if !slices.Contains([]skald.State{skald.Running, skald.Compensating, skald.Completed, skald.Compensated}, s) {
			faults = append(faults, Fault{prefix + states, fmt.Sprintf("%.40q is no state: use running, compensating, completed or compensated", s)})
		}
	}
	return faults
}

// store is the filter as a store takes it, which knows nothing of the mode and of the incident's reason.
func (l *Listing) store() skald.Filter {
	return skald.Filter{
		ID: l.ID, Definition: l.Definition, Version: l.Version, Key: l.Key, States: l.States, Unended: l.Unended, Incident: l.Incident || l.IncidentReason != "", Step: l.Step, Reason: l.Reason,
		Before: l.StartedBefore, After: l.StartedAfter, Oldest: l.Oldest, Cursor: l.Cursor, Limit: l.Limit,
	}
}

// listingOf is the way back, for clients.
func listingOf(f skald.Filter) Listing {
	return Listing{Filter: Filter{
		ID: f.ID, Definition: f.Definition, Version: f.Version, Key: f.Key, States: f.States, Unended: f.Unended, Incident: f.Incident, Step: f.Step, Reason: f.Reason,
		StartedBefore: f.Before, StartedAfter: f.After,
	}, Oldest: f.Oldest, Cursor: f.Cursor, Limit: f.Limit}
}

// values writes the filter as a query.
func (f *Filter) values() url.Values {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	set("id", string(f.ID))
	set("definition", f.Definition)
	set("version", f.Version)
	set("key", f.Key)
	set("mode", string(f.Mode))
	for _, s := range f.States {
		v.Add("state", string(s))
	}
	if f.Unended {
		v.Set("unended", "true")
	}
	if f.Incident {
		v.Set("incident", "true")
	}
	set("step", f.Step)
	set("reason", f.Reason)
	set("incident_reason", f.IncidentReason)
	if !f.StartedBefore.IsZero() {
		v.Set("started_before", f.StartedBefore.UTC().Format(time.RFC3339Nano))
	}
	if !f.StartedAfter.IsZero() {
		v.Set("started_after", f.StartedAfter.UTC().Format(time.RFC3339Nano))
	}
	return v
}

// narrows says whether the filter selects by what the store does not look at; selects looks at that.
func (f *Filter) narrows() bool { return f.Mode != "" || f.IncidentReason != "" }

func (f *Filter) selects(s *store.Summary) bool {
	return (f.Mode == "" || s.Mode == f.Mode) && (f.IncidentReason == "" || s.Incident == f.IncidentReason)
}

func (l *Listing) values() url.Values {
	v := l.Filter.values()
	if l.Oldest {
		v.Set("order", "oldest")
	}
	if l.Cursor != "" {
		v.Set("cursor", l.Cursor)
	}
	if l.Limit > 0 {
		v.Set("limit", strconv.Itoa(l.Limit))
	}
	return v
}

// maxPage is the largest page of any list.
const maxPage = 1000

// query reads a request's query, and collects what is wrong with it.
type query struct {
	values url.Values
	faults []Fault
}

func (q *query) add(name, format string, args ...any) {
	q.faults = append(q.faults, Fault{"query " + name, fmt.Sprintf(format, args...)})
}

// err is what was wrong, or nil.
func (q *query) err() error {
	if len(q.faults) == 0 {
		return nil
	}
	return badContent(q.faults...)
}

func (q *query) text(name string) string {
	v := q.values[name]
	if len(v) > 1 {
		q.add(name, "it is there %d times: give it once", len(v))
	}
	if len(v) == 0 {
		return ""
	}
	return v[0]
}

func (q *query) yes(name string) bool {
	switch v := q.text(name); v {
	case "true":
		return true
	case "", "false":
	default:
		q.add(name, "%.40q is neither true nor false", v)
	}
	return false
}

func (q *query) number(name string, most uint64) uint64 {
	v := q.text(name)
	if v == "" {
		return 0
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil || n > most {
		q.add(name, "%.40q is no whole number from 0 to %d", v, most)
	}
	return n
}

func (q *query) time(name string) time.Time {
	v := q.text(name)
	if v == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		q.add(name, "%.40q is no time: write it as 2026-01-31T12:00:00Z", v)
	}
	return t.UTC()
}

// page reads how many entries a page may have.
func (q *query) page() int { return int(q.number("limit", maxPage)) }

// listing reads a list's query.
func (q *query) listing() Listing {
	l := Listing{Filter: Filter{
		ID: skald.SagaID(q.text("id")), Definition: q.text("definition"), Version: q.text("version"), Key: q.text("key"), Mode: skald.Mode(q.text("mode")),
		Unended: q.yes("unended"), Incident: q.yes("incident"), Step: q.text("step"), Reason: q.text("reason"), IncidentReason: q.text("incident_reason"),
		StartedBefore: q.time("started_before"), StartedAfter: q.time("started_after"),
	}, Cursor: q.text("cursor"), Limit: q.page()}
	for _, s := range q.values["state"] {
		l.States = append(l.States, skald.State(s))
	}
	switch order := q.text("order"); order {
	case "oldest":
		l.Oldest = true
	case "", "newest":
	default:
		q.add("order", "%.40q is neither newest nor oldest", order)
	}
	if l.ID != "" && journal.CheckID(l.ID) != nil {
		q.add("id", "an id has 1 to %d letters, digits, dots, underscores, colons and hyphens", journal.MaxID)
	}
	q.faults = append(q.faults, l.check("query ", "state")...)
	return l
}
