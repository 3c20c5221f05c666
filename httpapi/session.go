package httpapi

import (
	"cmp"
	"net/http"

	"github.com/skaldhq/skald/access"
)

// SignIn is a credential to begin a session with.
type SignIn struct {
	Credential string `json:"credential"` // an API key or a token
}

// Session says who asks, and what that may do.
type Session struct {
	Name      string      `json:"name"`
	Role      access.Role `json:"role"`      // reader, operator or admin
	Namespace string      `json:"namespace"` // the one that is seen; * for all
	Guarded   bool        `json:"guarded"`   // false: nobody is asked who they are here
	Sessions  bool        `json:"sessions"`  // a session can be begun here
}

// openSession answers POST /v1/session: the cookie stands in for the credential from then on.
func (h *Handler) openSession(w http.ResponseWriter, r *http.Request) error {
	if h.Door == nil || h.Door.Sessions == nil {
		return problem(http.StatusNotFound, problemNoSessions, "Nobody signs in here", "This program asks nobody who they are, or knows no sessions: go on without. %s", cmp.Or(h.Mends.Access, "Its programmer gives httpapi.Config a Door."))
	}
	in, err := readDocument[SignIn](w, r, maxBody)
	if err != nil {
		return err
	}
	if in.Credential == "" {
		return badContent(Fault{"body /credential", "give an API key or a token"})
	}
	who, err := h.Door.Authenticate(r.Context(), in.Credential)
	if err != nil {
		return h.unauthenticated(err)
	}
	http.SetCookie(w, h.Door.Sessions.Open(in.Credential))
	writeJSON(w, http.StatusOK, "application/json", h.session(who))
	return nil
}

// getSession answers GET /v1/session.
func (h *Handler) getSession(w http.ResponseWriter, r *http.Request) error {
	writeJSON(w, http.StatusOK, "application/json", h.session(whoAsks(r.Context())))
	return nil
}

func (h *Handler) session(who access.Identity) Session {
	return Session{Name: who.Name, Role: who.Role, Namespace: who.Namespace, Guarded: h.Identify != nil, Sessions: h.Door != nil && h.Door.Sessions != nil}
}

// closeSession answers DELETE /v1/session.
func (h *Handler) closeSession(w http.ResponseWriter, r *http.Request) error {
	if h.Door != nil && h.Door.Sessions != nil {
		http.SetCookie(w, h.Door.Sessions.End(r))
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
