package httpapi

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/skaldhq/skald/access"
)

// Key is what is known of an API key.
type Key struct {
	ID        string      `json:"id"`   // the key begins with skald_ and this
	Name      string      `json:"name"` // whose it is: who decided, in journals and in the audit log
	Role      access.Role `json:"role"` // reader, operator or admin
	Namespace string      `json:"namespace"`
	Created   time.Time   `json:"created"`
	CreatedBy string      `json:"created_by,omitempty"`
	Expires   time.Time   `json:"expires,omitzero"`   // left out if it does not
	Revoked   time.Time   `json:"revoked,omitzero"`   // left out if it is not; may lie ahead, after a rotation
	Replaces  string      `json:"replaces,omitempty"` // the id of the key that it was rotated from
	Valid     bool        `json:"valid"`              // it opens something now
}

// KeyPage is all keys that the one who asks may see.
type KeyPage struct {
	Keys []Key `json:"keys"`
}

// NewKey asks for a key.
type NewKey struct {
	Name      string      `json:"name"` // whose it is
	Role      access.Role `json:"role"`
	Namespace string      `json:"namespace,omitempty"` // that of the one who asks, unless said
	Expires   time.Time   `json:"expires,omitzero"`    // never, unless said
}

// Rotation asks for a key, or for a webhook's secret, that takes another one's place.
type Rotation struct {
	Overlap float64 `json:"overlap,omitempty"` // seconds for which the old one goes on working, at most 30 days; none
}

// MadeKey is a new key with its secret, which is said once and kept nowhere.
type MadeKey struct {
	Key    Key    `json:"key"`
	Secret string `json:"secret"` // the key itself, as it is sent
}

// KeyOf is a key as it is sent.
func KeyOf(k *access.Key) Key {
	return Key{k.ID, k.Name, k.Role, k.Namespace, k.Created, k.CreatedBy, k.Expires, k.Revoked, k.Replaces, k.Valid(time.Now())}
}

// keys is what keeps keys, or a problem that says that nothing does.
func (h *Handler) keys() (access.Keys, error) {
	if h.Keys == nil {
		return nil, problem(http.StatusNotFound, problemNoKeys, "There are no API keys here", "This program makes none. %s", cmp.Or(h.Mends.Access, "See how it knows who asks."))
	}
	return h.Keys, nil
}

// listKeys answers GET /v1/keys.
func (h *Handler) listKeys(w http.ResponseWriter, r *http.Request) error {
	keys, err := h.keys()
	if err != nil {
		return err
	}
	all, err := keys.List(r.Context(), whoAsks(r.Context()).Namespace)
	if err != nil {
		return err
	}
	page := KeyPage{Keys: make([]Key, len(all))}
	for i := range all {
		page.Keys[i] = KeyOf(&all[i])
	}
	writeJSON(w, http.StatusOK, "application/json", page)
	return nil
}

// createKey answers POST /v1/keys. Nobody can make a key that sees more than they do.
func (h *Handler) createKey(w http.ResponseWriter, r *http.Request) error {
	keys, err := h.keys()
	if err != nil {
		return err
	}
	in, err := readDocument[NewKey](w, r, maxBody)
	if err != nil {
		return err
	}
	who := whoAsks(r.Context())
	k := access.Key{Name: in.Name, Role: in.Role, Namespace: cmp.Or(in.Namespace, who.Namespace), CreatedBy: who.Name, Expires: in.Expires}
	if err := k.Check(time.Now()); err != nil {
		return badContent(Fault{"body", strings.ReplaceAll(err.Error(), "\n", "; ")})
	}
	if !who.Covers(k.Namespace) {
		return problem(http.StatusForbidden, problemForbidden, "It is not yours to do", "The namespace %s lies outside of yours, %s: ask an admin of all namespaces for the key.", k.Namespace, who.Namespace)
	}
	k, secret, err := keys.Create(r.Context(), k)
	if err != nil {
		return err
	}
	noteOf(r.Context()).target = k.ID
	noteOf(r.Context()).say("for %q: %s of %s", k.Name, k.Role, k.Namespace)
	writeJSON(w, http.StatusCreated, "application/json", MadeKey{KeyOf(&k), secret})
	return nil
}

// visibleKey finds the key of a path. One of a foreign namespace does not exist.
func (h *Handler) visibleKey(r *http.Request) (access.Keys, access.Key, error) {
	keys, err := h.keys()
	if err != nil {
		return nil, access.Key{}, err
	}
	k, err := keys.Find(r.Context(), r.PathValue("id"))
	if err == nil && !whoAsks(r.Context()).Covers(k.Namespace) {
		err = access.ErrNoKey
	}
	return keys, k, noKey(err)
}

// noKey gives the error for a key that is not there one text, whatever the reason.
func noKey(err error) error {
	if errors.Is(err, access.ErrNoKey) {
		return problem(http.StatusNotFound, problemNoKey, "No such API key", "GET /v1/keys says which there are; one that was revoked or has expired cannot be rotated.")
	}
	return err
}

// rotateKey answers POST /v1/keys/{id}/rotate.
func (h *Handler) rotateKey(w http.ResponseWriter, r *http.Request) error {
	keys, old, err := h.visibleKey(r)
	if err != nil {
		return err
	}
	overlap, err := readOverlap(w, r)
	if err != nil {
		return err
	}
	k, secret, err := keys.Rotate(r.Context(), old.ID, whoAsks(r.Context()).Name, overlap)
	if err != nil {
		return noKey(err)
	}
	noteOf(r.Context()).say("by %s", k.ID)
	writeJSON(w, http.StatusCreated, "application/json", MadeKey{KeyOf(&k), secret})
	return nil
}

// readOverlap reads for how long the old one goes on working.
func readOverlap(w http.ResponseWriter, r *http.Request) (time.Duration, error) {
	in, err := readDocument[Rotation](w, r, maxBody)
	if err == nil && (in.Overlap < 0 || in.Overlap > access.MaxOverlap.Seconds()) {
		err = badContent(Fault{"body /overlap", "the old one goes on working for 0 to 2592000 seconds (30 days)"})
	}
	return time.Duration(in.Overlap * float64(time.Second)), err
}

// revokeKey answers POST /v1/keys/{id}/revoke.
func (h *Handler) revokeKey(w http.ResponseWriter, r *http.Request) error {
	keys, k, err := h.visibleKey(r)
	if err != nil {
		return err
	}
	if err := keys.Revoke(r.Context(), k.ID); err != nil {
		return noKey(err)
	}
	if k, err = keys.Find(r.Context(), k.ID); err != nil {
		return noKey(err)
	}
	writeJSON(w, http.StatusOK, "application/json", KeyOf(&k))
	return nil
}

// Change is one line of the audit log: who asked for what, when, from where, and what came of it.
type Change struct {
	N          uint64      `json:"n"` // in order; it only grows
	Time       time.Time   `json:"time"`
	Who        string      `json:"who,omitempty"` // left out where nobody is identified
	Role       access.Role `json:"role"`
	Namespace  string      `json:"namespace"`            // of who asked
	Credential string      `json:"credential,omitempty"` // what they were known by; no secret
	From       string      `json:"from"`                 // the address that the request came from
	What       string      `json:"what"`                 // the operation, as the OpenAPI document names it
	Target     string      `json:"target,omitempty"`     // such as a saga's id
	Status     int         `json:"status,omitempty"`     // of the answer; left out while it is not known, for ever if the program died meanwhile
	Problem    string      `json:"problem,omitempty"`    // what was in the way, if something was
	Note       string      `json:"note,omitempty"`       // more of what was done, and the reason that was given
}

// ChangePage is one page of the audit log, the newest line first.
type ChangePage struct {
	Changes []Change `json:"changes"`
	Next    uint64   `json:"next,omitempty"` // pass it as below for the next page; left out on the last
}

// listChanges answers GET /v1/audit: the changes that identities of the same namespace asked for.
func (h *Handler) listChanges(w http.ResponseWriter, r *http.Request) error {
	if h.Audit == nil {
		return problem(http.StatusNotFound, problemNoAudit, "There is no audit log here", "This program keeps none; journals say who decided what about a saga. %s", cmp.Or(h.Mends.Access, "Its programmer gives httpapi.Config an Audit."))
	}
	q := query{values: r.URL.Query()}
	f := access.ChangeFilter{Namespace: whoAsks(r.Context()).Namespace, Who: q.text("who"), What: q.text("what"), Target: q.text("target"), Before: q.time("before"), After: q.time("since"),
		Below: q.number("below", 1<<62), Limit: cmp.Or(q.page(), 100)}
	if err := q.err(); err != nil {
		return err
	}
	found, err := h.Audit.Changes(r.Context(), f)
	if err != nil {
		return err
	}
	page := ChangePage{Changes: make([]Change, len(found))}
	for i := range found {
		c := &found[i]
		page.Changes[i] = Change{c.N, c.Time, c.Who, c.Role, c.Namespace, c.Credential, c.From, c.What, cmp.Or(c.Outcome.Target, c.Target), c.Outcome.Status, c.Outcome.Word, c.Outcome.Note}
	}
	if len(found) == f.Limit {
		page.Next = found[len(found)-1].N
	}
	writeJSON(w, http.StatusOK, "application/json", page)
	return nil
}
