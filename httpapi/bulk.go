package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// Bulk asks for one verb for many sagas. Each is decided on by itself, and is durable by itself.
type Bulk struct {
	Filter Filter     `json:"filter"`         // at least one field of it
	Verb   skald.Verb `json:"verb"`           // cancel for the sagas, or retry, skip, done or seen for their open incidents
	Step   string     `json:"step,omitempty"` // only incidents of this step; not with cancel
	By     string     `json:"by,omitempty"`   // left out where the request's identity says it
	Reason string     `json:"reason"`
	DryRun bool       `json:"dry_run,omitempty"` // says what would be asked for, and asks for nothing
	Limit  int        `json:"limit,omitempty"`   // sagas looked at, at most 1,000; 100
	Cursor string     `json:"cursor,omitempty"`  // BulkResult.Next of the answer before, with the same filter
}

// VerbCancel turns sagas back, in a Bulk.
const VerbCancel skald.Verb = "cancel"

// BulkResult says what became of each saga that was looked at.
type BulkResult struct {
	DryRun  bool       `json:"dry_run"`
	Acted   int        `json:"acted"`   // sagas with outcome done or, in a dry run, would
	Left    int        `json:"left"`    // sagas with nothing to do
	Failed  int        `json:"failed"`  // sagas for which it did not work, in part or at all
	Results []BulkSaga `json:"results"` // oldest first
	Next    string     `json:"next,omitempty"`
}

// BulkSaga says what became of one saga.
type BulkSaga struct {
	ID         skald.SagaID `json:"id"`
	Definition string       `json:"definition"`
	State      skald.State  `json:"state"`            // before
	Outcome    string       `json:"outcome"`          // would, done, nothing or failed
	Steps      []string     `json:"steps"`            // whose incidents the verb is for; an empty name is the saga as a whole
	Detail     string       `json:"detail,omitempty"` // why nothing was to be done, or what failed and how it is mended
}

// Outcomes of one saga.
const (
	bulkWould   = "would"
	bulkDone    = "done"
	bulkNothing = "nothing"
	bulkFailed  = "failed"
)

// bulkWidth is how many sagas are acted on at a time: they share the store's commits.
const bulkWidth = 16

// bulk answers POST /v1/bulk. When the client hangs up, sagas that were not reached are left as they are.
func (h *Handler) bulk(w http.ResponseWriter, r *http.Request) error {
	b, err := readBulk(w, r)
	if err != nil {
		return err
	}
	by, faults := decided(r, b.By, b.Reason)
	b.By = by
	if faults = append(faults, b.check()...); len(faults) > 0 {
		return badContent(faults...)
	}
	page, err := h.list(r.Context(), Listing{Filter: b.Filter, Oldest: true, Cursor: b.Cursor, Limit: b.Limit})
	if err != nil {
		return err
	}
	result := BulkResult{DryRun: b.DryRun, Results: h.onEach(r.Context(), &b, page.Sagas), Next: page.Next}
	for i := range result.Results {
		switch result.Results[i].Outcome {
		case bulkWould, bulkDone:
			result.Acted++
		case bulkNothing:
			result.Left++
		case bulkFailed:
			result.Failed++
		}
	}
	noteOf(r.Context()).say("%s: acted %d, left %d, failed %d", b.Verb, result.Acted, result.Left, result.Failed)
	if !b.DryRun {
		h.Logger.Info("a verb for many sagas", "verb", b.Verb, "by", b.By, "acted", result.Acted, "left", result.Left, "failed", result.Failed)
	}
	writeJSON(w, http.StatusOK, "application/json", result)
	return nil
}

// bulkKey is where a request's context keeps the body that was read for its preview.
type bulkKey struct{}

type bulkRead struct {
	Bulk
	err error
}

// previewBulk implements preview.
func previewBulk(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	b, err := readBulkBody(w, r)
	return r.WithContext(context.WithValue(r.Context(), bulkKey{}, bulkRead{b, err})), err == nil && b.DryRun
}

// readBulk returns the body, which can be read once.
func readBulk(w http.ResponseWriter, r *http.Request) (Bulk, error) {
	if read, ok := r.Context().Value(bulkKey{}).(bulkRead); ok {
		return read.Bulk, read.err
	}
	return readBulkBody(w, r)
}

func readBulkBody(w http.ResponseWriter, r *http.Request) (Bulk, error) {
	body, err := readBody(w, r, maxBody)
	if err != nil {
		return Bulk{}, err
	}
	b, err := documentOf[Bulk](body)
	if err != nil {
		return b, err
	}
	var given struct {
		Filter json.RawMessage `json:"filter"`
		Step   json.RawMessage `json:"step"`
	}
	err = json.Unmarshal(body, &given)
	faults := emptyMembers(given.Filter, "body /filter/")
	if string(given.Step) == `""` || string(given.Step) == "null" {
		faults = append(faults, Fault{"body /step", emptyMend})
	}
	if len(faults) > 0 {
		err = badContent(faults...)
	}
	return b, err
}

// check returns what is wrong with the request, but for who and why.
func (b *Bulk) check() []Fault {
	faults := b.Filter.check("body /filter/", "states")
	if b.Filter.Empty() {
		faults = append(faults, Fault{"body /filter", "say which sagas: for all that run, {\"unended\": true}"})
	}
	if !slices.Contains([]skald.Verb{VerbCancel, skald.VerbRetry, skald.VerbSkip, skald.VerbDone, skald.VerbSeen}, b.Verb) {
		faults = append(faults, Fault{"body /verb", "say what to do: cancel, retry, skip, done or seen. Replace needs an input for each saga: use resolve"})
	}
	if b.Verb == VerbCancel && b.Step != "" {
		faults = append(faults, Fault{"body /step", "a saga is cancelled as a whole: leave it out, or use filter.step"})
	}
	if b.Limit < 0 || b.Limit > maxPage {
		faults = append(faults, Fault{"body /limit", fmt.Sprintf("it is a whole number up to %d", maxPage)})
	}
	return faults
}

// onEach does what is asked for with each saga, a few at a time, and returns what became of them in their order.
func (h *Handler) onEach(ctx context.Context, b *Bulk, sagas []store.Summary) []BulkSaga {
	results := make([]BulkSaga, len(sagas))
	var acting sync.WaitGroup
	places := make(chan struct{}, bulkWidth)
	for i := range sagas {
		places <- struct{}{}
		acting.Go(func() {
			defer func() { <-places }()
			results[i] = h.onOne(ctx, b, sagas[i].ID, sagas[i].Definition, sagas[i].State)
		})
	}
	acting.Wait()
	return results
}

func (h *Handler) onOne(ctx context.Context, b *Bulk, id skald.SagaID, definition string, state skald.State) BulkSaga {
	x := BulkSaga{ID: id, Definition: definition, State: state, Steps: []string{}}
	s, err := h.scope(ctx).status(ctx, id)
	if err != nil {
		x.Outcome, x.Detail = bulkFailed, problemOf(err).Detail
		return x
	}
	x.State = s.State
	if x.Steps, x.Detail = b.aims(&s); x.Detail != "" {
		x.Outcome = bulkNothing
		return x
	}
	if b.DryRun {
		x.Outcome = bulkWould
		return x
	}
	x.Outcome = bulkDone
	if b.Verb == VerbCancel {
		err = h.scope(ctx).cancel(ctx, id, b.By, b.Reason)
	}
	for _, step := range x.Steps {
		if err = h.scope(ctx).resolve(ctx, id, skald.Resolution{Step: step, Verb: b.Verb, By: b.By, Reason: b.Reason}); err != nil {
			break
		}
	}
	if err != nil {
		x.Outcome, x.Detail = bulkFailed, problemOf(err).Detail
	}
	return x
}

// aims says what the verb is for in a saga, or why there is nothing to do. What it says can be done the engine may still refuse: it decides when it is asked.
func (b *Bulk) aims(s *skald.Status) (steps []string, nothing string) {
	steps = []string{}
	switch {
	case s.State.Ended() && b.Verb != skald.VerbSeen:
		return steps, "the saga has ended"
	case b.Verb == VerbCancel && s.State == skald.Compensating:
		return steps, "the saga turns back already"
	case b.Verb == VerbCancel:
		for i := range s.Steps {
			x := &s.Steps[i]
			if x.Kind == "pivot" && x.State != journal.StepStateWaiting && x.State != journal.StepStateSkipped {
				return steps, "the saga has passed its point of no return, " + x.Name
			}
		}
		return steps, ""
	}
	for _, x := range s.Incidents {
		if (b.Step == "" || b.Step == x.Step) && x.Contradiction() == (b.Verb == skald.VerbSeen) {
			steps = append(steps, x.Step)
		}
	}
	if len(steps) == 0 {
		return steps, "the saga has no such incident"
	}
	return steps, ""
}
