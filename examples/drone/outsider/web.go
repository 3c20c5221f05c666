package outsider

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/skaldhq/skald/examples/problem"
)

// routes answers
//
//	POST   /api/subscriptions                                     {"url","types","subjectPrefix"}: 201 with the secret, or 200 without it if the same was asked before
//	GET    /api/subscriptions and /api/subscriptions/{id}         without secrets
//	DELETE /api/subscriptions/{id}                                204, also if it is gone
//	GET    /api/subscriptions/{id}/deadletters
//	POST   /api/subscriptions/{id}/deadletters/{letter}/replay    {"by","reason"}: 204; …/discard likewise
//	GET, POST /api/subscriptions/{id}/permission/{token}          the callback of the handshake
//	GET    /livez
func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/subscriptions", s.subscribe)
	mux.HandleFunc("GET /api/subscriptions", s.list)
	mux.HandleFunc("GET /api/subscriptions/{id}", s.one)
	mux.HandleFunc("DELETE /api/subscriptions/{id}", s.unsubscribe)
	mux.HandleFunc("GET /api/subscriptions/{id}/deadletters", s.letters)
	mux.HandleFunc("POST /api/subscriptions/{id}/deadletters/{letter}/replay", s.settle(s.store.replay))
	mux.HandleFunc("POST /api/subscriptions/{id}/deadletters/{letter}/discard", s.settle(s.store.discard))
	mux.HandleFunc("GET /api/subscriptions/{id}/permission/{token}", s.permit)
	mux.HandleFunc("POST /api/subscriptions/{id}/permission/{token}", s.permit)
	mux.HandleFunc("GET /livez", s.livez)
	return mux
}

// shown is a subscription as the API tells it.
type shown struct {
	ID            string     `json:"id"`
	URL           string     `json:"url"`
	Types         []string   `json:"types,omitempty"`
	SubjectPrefix string     `json:"subjectPrefix,omitempty"`
	State         string     `json:"state"` // pending, withheld or validated
	Rate          int        `json:"ratePerMinute,omitempty"`
	Failures      int        `json:"failures"` // in a row
	Paused        *time.Time `json:"pausedUntil,omitempty"`
	Note          string     `json:"note,omitempty"`
	Waiting       int        `json:"waiting"`
	Dead          int        `json:"dead"`
	Created       time.Time  `json:"created"`
	Secret        string     `json:"secret,omitempty"` // only when it was made
}

func show(sub subscription) shown {
	state := "validated"
	if sub.Withheld {
		state = "withheld"
	} else if sub.Validated.IsZero() {
		state = "pending"
	}
	out := shown{ID: sub.ID, URL: sub.URL, Types: sub.Filter.Types, SubjectPrefix: sub.Filter.Prefix, State: state, Rate: sub.Rate, Failures: sub.Failures,
		Note: sub.Note, Waiting: sub.Waiting, Dead: sub.Dead, Created: sub.Created}
	if sub.Paused.After(time.Now()) {
		out.Paused = &sub.Paused
	}
	return out
}

func (s *service) subscribe(w http.ResponseWriter, r *http.Request) {
	var asked wish
	if !problem.Read(w, r, 64<<10, &asked) {
		return
	}
	address, wanted, faults := asked.check(s.cfg.AllowLoopback)
	if why := s.way.Allows(address); why != nil {
		faults = append(faults, problem.Fault{Field: "url", Detail: why.Error() + "; subscribe with a public address"})
	}
	if len(faults) > 0 {
		problem.New(http.StatusUnprocessableEntity, "this cannot be subscribed to", faults...).Write(w)
		return
	}
	id := uuid.NewString()
	sub, added, err := s.store.subscribe(r.Context(), subscription{ID: id, URL: address, Filter: wanted, Secret: newSecret(), Token: uuid.NewString(),
		Callback: "http://" + r.Host + "/api/subscriptions/" + id + "/permission/", Created: time.Now()})
	if errors.Is(err, errTooMany) {
		problem.New(http.StatusServiceUnavailable, fmt.Sprintf("there are %d subscriptions already: remove one that is not needed", maxSubscriptions)).Write(w)
		return
	}
	if err == nil && sub.Validated.IsZero() {
		// Asked here, so that the answer can say how it went. What is unclear now is asked again by the queue.
		err = s.shakeHands(r.Context(), sub)
	}
	secret := sub.Secret
	if err == nil {
		sub, err = s.store.subscription(r.Context(), sub.ID)
	}
	if s.failed(w, r, err) {
		return
	}
	s.wake(sub.ID)
	out, status := show(sub), http.StatusOK
	if added {
		out.Secret, status = secret, http.StatusCreated
		w.Header().Set("Location", "/api/subscriptions/"+sub.ID)
	}
	problem.JSON(w, status, "application/json", out)
}

func (s *service) list(w http.ResponseWriter, r *http.Request) {
	all, err := s.store.subscriptions(r.Context())
	if s.failed(w, r, err) {
		return
	}
	out := []shown{}
	for _, sub := range all {
		out = append(out, show(sub))
	}
	problem.JSON(w, http.StatusOK, "application/json", out)
}

func (s *service) one(w http.ResponseWriter, r *http.Request) {
	sub, err := s.store.subscription(r.Context(), r.PathValue("id"))
	if !s.failed(w, r, err) {
		problem.JSON(w, http.StatusOK, "application/json", show(sub))
	}
}

func (s *service) unsubscribe(w http.ResponseWriter, r *http.Request) {
	if s.failed(w, r, s.store.unsubscribe(r.Context(), r.PathValue("id"))) {
		return
	}
	s.shut(r.PathValue("id"))
	w.WriteHeader(http.StatusNoContent)
}

func (s *service) letters(w http.ResponseWriter, r *http.Request) {
	if _, err := s.store.subscription(r.Context(), r.PathValue("id")); s.failed(w, r, err) {
		return
	}
	all, err := s.store.letters(r.Context(), r.PathValue("id"))
	if !s.failed(w, r, err) {
		problem.JSON(w, http.StatusOK, "application/json", all)
	}
}

// settle serves a decision on a dead letter, which says who made it and why.
func (s *service) settle(do func(ctx context.Context, id, ref, note string, now time.Time) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var decision struct {
			By     string `json:"by"`
			Reason string `json:"reason"`
		}
		if !problem.Read(w, r, 16<<10, &decision) {
			return
		}
		if strings.TrimSpace(decision.By) == "" || strings.TrimSpace(decision.Reason) == "" || len(decision.By)+len(decision.Reason) > 1000 {
			problem.New(http.StatusUnprocessableEntity, "say who decides and why, in by and reason, with at most 1000 bytes").Write(w)
			return
		}
		if s.failed(w, r, do(r.Context(), r.PathValue("id"), r.PathValue("letter"), decision.By+": "+decision.Reason, time.Now())) {
			return
		}
		s.wake(r.PathValue("id"))
		w.WriteHeader(http.StatusNoContent)
	}
}

// permit is called by the outsider, or by a person who found the address in its log.
func (s *service) permit(w http.ResponseWriter, r *http.Request) {
	sub, err := s.store.subscription(r.Context(), r.PathValue("id"))
	if err == nil && subtle.ConstantTimeCompare([]byte(sub.Token), []byte(r.PathValue("token"))) != 1 {
		err = errGone
	}
	if s.failed(w, r, err) {
		return
	}
	// A browser that follows the link sends no headers: the link itself is the permission.
	rate, permitted := s.permission(r.Header)
	if !permitted && r.Header.Get("WebHook-Allowed-Origin") == "" {
		rate, permitted = askedRate, true
	}
	if !permitted {
		problem.New(http.StatusUnprocessableEntity, "the headers give no permission: send WebHook-Allowed-Origin "+s.cfg.Origin+" and a WebHook-Allowed-Rate above 0, or neither").Write(w)
		return
	}
	if s.failed(w, r, s.store.permit(r.Context(), sub.ID, rate, time.Now())) {
		return
	}
	s.wake(sub.ID)
	w.WriteHeader(http.StatusNoContent)
}

func (s *service) livez(w http.ResponseWriter, r *http.Request) {
	if err := s.store.db.PingContext(r.Context()); err != nil {
		problem.New(http.StatusServiceUnavailable, "the database does not answer").Write(w)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// failed answers an error, if there is one.
func (s *service) failed(w http.ResponseWriter, r *http.Request, err error) bool {
	switch {
	case err == nil:
		return false
	case errors.Is(err, errGone):
		problem.New(http.StatusNotFound, "there is nothing of this name").Write(w)
	case errors.Is(err, errSettled):
		problem.New(http.StatusConflict, "the dead letter was settled otherwise before").Write(w)
	default:
		s.log.ErrorContext(r.Context(), "a request failed", "path", r.URL.Path, "error", err)
		problem.New(http.StatusServiceUnavailable, "it cannot be said whether it was done: ask again").Write(w)
	}
	return true
}
