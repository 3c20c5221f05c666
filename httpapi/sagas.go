package httpapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// sagaID reads the id in a path. What cannot be an id is the id of no saga.
func sagaID(r *http.Request) (skald.SagaID, error) {
	id := skald.SagaID(r.PathValue("id"))
	if journal.CheckID(id) != nil {
		return "", noSaga(id)
	}
	return id, nil
}

// getSaga answers GET /v1/sagas/{id}; with Prefer: wait=N when the saga has its outcome or the time is over.
func (h *Handler) getSaga(w http.ResponseWriter, r *http.Request) error {
	id, err := sagaID(r)
	if err != nil {
		return err
	}
	s, err := h.scope(r.Context()).status(r.Context(), id)
	if err != nil {
		return err
	}
	if wait := preferredWait(r.Header); wait > 0 {
		w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
		if !s.State.Ended() {
			longLived(w, wait)
			if s, err = h.waited(r.Context(), id, wait); err != nil {
				return err
			}
		}
	}
	if notModified(w, r, `W/"`+strconv.FormatUint(s.Seq, 10)+`"`) {
		return nil
	}
	writeJSON(w, http.StatusOK, "application/json", sagaOf(&s))
	return nil
}

// waited is a saga's status when it has its outcome, or after a while.
func (h *Handler) waited(ctx context.Context, id skald.SagaID, wait time.Duration) (skald.Status, error) {
	if s, ok := h.outcome(ctx, id, wait); ok {
		return s, nil
	}
	return h.scope(ctx).status(ctx, id)
}

// listSagas answers GET /v1/sagas.
func (h *Handler) listSagas(w http.ResponseWriter, r *http.Request) error {
	q := query{values: r.URL.Query()}
	l := q.listing()
	if err := q.err(); err != nil {
		return err
	}
	page, err := h.list(r.Context(), l)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, "application/json", pageOf(page))
	return nil
}

// maxLooks is how many pages of the store are read for one page here.
const maxLooks = 10

// list reads a page. The store does not select by mode or by an incident's reason: that is done here, with a bound on how far is looked, so that a page may be short although more follows.
func (h *Handler) list(ctx context.Context, l Listing) (skald.Page, error) {
	f := l.store()
	if !l.narrows() {
		return h.scope(ctx).list(ctx, f)
	}
	if f.Limit == 0 {
		f.Limit = 100
	}
	var found skald.Page
	for range maxLooks {
		page, err := h.scope(ctx).list(ctx, f)
		if err != nil {
			return found, err
		}
		page.Sagas = slices.DeleteFunc(page.Sagas, func(s store.Summary) bool { return !l.selects(&s) })
		found.Sagas, found.Next = append(found.Sagas, page.Sagas...), page.Next
		f.Cursor = page.Next
		f.Limit -= len(page.Sagas)
		if f.Limit == 0 || f.Cursor == "" {
			break
		}
	}
	return found, nil
}

// maxEvents is how many bytes of payloads a page of events has until it ends early.
const maxEvents = 4 << 20

// listEvents answers GET /v1/sagas/{id}/events.
func (h *Handler) listEvents(w http.ResponseWriter, r *http.Request) error {
	q := query{values: r.URL.Query()}
	after, limit := q.number("after", 1<<62), q.page()
	if err := q.err(); err != nil {
		return err
	}
	if limit == 0 {
		limit = 100
	}
	id, err := sagaID(r)
	if err != nil {
		return err
	}
	events, err := h.scope(r.Context()).events(r.Context(), id, after)
	if err != nil {
		return err
	}
	page, size := EventPage{Events: []Event{}}, 0
	for i := range events {
		if i == limit || size > maxEvents {
			page.Next = events[i-1].Seq
			break
		}
		page.Events = append(page.Events, eventOf(&events[i]))
		size += len(events[i].Payload)
	}
	writeJSON(w, http.StatusOK, "application/json", page)
	return nil
}

// cancel answers POST /v1/sagas/{id}/cancel.
func (h *Handler) cancel(w http.ResponseWriter, r *http.Request) error {
	id, err := sagaID(r)
	if err != nil {
		return err
	}
	d, err := readDocument[Decision](w, r, maxBody)
	if err != nil {
		return err
	}
	by, faults := decided(r, d.By, d.Reason)
	if len(faults) > 0 {
		return badContent(faults...)
	}
	if err := h.scope(r.Context()).cancel(r.Context(), id, by, d.Reason); err != nil {
		return err
	}
	return h.show(w, r, id)
}

// resolve answers POST /v1/sagas/{id}/resolve.
func (h *Handler) resolve(w http.ResponseWriter, r *http.Request) error {
	id, err := sagaID(r)
	if err != nil {
		return err
	}
	d, err := readDocument[Resolution](w, r, maxDecision)
	if err != nil {
		return err
	}
	by, faults := decided(r, d.By, d.Reason)
	if !slices.Contains([]skald.Verb{skald.VerbRetry, skald.VerbReplace, skald.VerbSkip, skald.VerbDone, skald.VerbSeen}, d.Verb) {
		faults = append(faults, Fault{"body /verb", "say what to do: retry, replace, skip, done or seen"})
	}
	if d.Verb == skald.VerbReplace && len(d.Payload) == 0 {
		faults = append(faults, Fault{"body /payload", "give the step's new input"})
	}
	if len(d.Payload) > journal.MaxPayload {
		faults = append(faults, Fault{"body /payload", "it has at most 1 MiB: pass a reference to where the data is"})
	}
	if len(faults) > 0 {
		return badContent(faults...)
	}
	noteOf(r.Context()).say("%s %s", d.Verb, d.Step)
	err = h.scope(r.Context()).resolve(r.Context(), id, skald.Resolution{Step: d.Step, Verb: d.Verb, By: by, Reason: d.Reason, Payload: d.Payload})
	var misfit *skald.Misfit
	switch {
	case errors.As(err, &misfit):
		return misfitting(misfit, "/payload")
	case errors.Is(err, skald.ErrVerb):
		return h.otherVerbs(r.Context(), id, err)
	case err != nil:
		return err
	}
	return h.show(w, r, id)
}

// show answers a decision that was carried out with the saga as it is then.
func (h *Handler) show(w http.ResponseWriter, r *http.Request, id skald.SagaID) error {
	s, err := h.scope(r.Context()).status(r.Context(), id)
	if err != nil {
		h.Logger.Error("a decision was carried out, and then the saga could not be read", "saga", id, "error", err)
		return problem(http.StatusInternalServerError, problemInternal, "Something went wrong here", "The decision is carried out and durable, and the saga could not be read afterwards: GET it.")
	}
	writeJSON(w, http.StatusOK, "application/json", sagaOf(&s))
	return nil
}

// otherVerbs is the problem of a verb that does not fit: why, and which do.
func (h *Handler) otherVerbs(ctx context.Context, id skald.SagaID, why error) error {
	s, err := h.scope(ctx).status(ctx, id)
	if err != nil {
		return why
	}
	p := problemOf(why)
	p.Detail = mended(beyond(why, skald.ErrVerb), h.fitting(ctx, &s))
	return p
}

// fitting says which verbs the engine takes for which steps now.
func (h *Handler) fitting(ctx context.Context, s *skald.Status) string {
	d, _ := h.definition(ctx, s.Definition, s.Version) // of one that is not registered nothing is known but what its journal says
	var fit []string
	for i := range s.Steps {
		if verbs := verbsFor(&s.Steps[i], d); verbs != "" {
			fit = append(fit, s.Steps[i].Name+" ("+verbs+")")
		}
	}
	if slices.ContainsFunc(s.Incidents, func(x skald.Incident) bool { return x.Step == "" }) {
		fit = append(fit, "the saga as a whole, without a step (retry)")
	}
	if len(fit) == 0 {
		return "No step waits for anything now, so no verb fits: look at the saga, and see how it goes on."
	}
	return "What fits now: " + strings.Join(fit, ", ") + "."
}

// verbsFor are the verbs that fit a step, in words; none if it waits for nothing.
func verbsFor(x *skald.StepStatus, d *Definition) string {
	switch x.State {
	case journal.StepStateUndoing, journal.StepStateUndoRetry:
		return "retry, replace, skip, done"
	case journal.StepStateRunning, journal.StepStateRetrying:
	default:
		return ""
	}
	switch x.Kind {
	case "pivot":
		return "retry, done"
	case "retriable":
		if d != nil && slices.ContainsFunc(d.Steps, func(y DefinitionStep) bool { return slices.Contains(y.Reads, x.Name) }) {
			return "retry, replace, done"
		}
		return "retry, replace, skip, done"
	}
	return "retry"
}
