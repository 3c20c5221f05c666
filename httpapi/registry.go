package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/participant"
)

// Registry takes definitions and participants while the engine runs, and keeps them. It is used concurrently.
type Registry interface {
	// Define reads a definition from YAML or JSON, keeps it and registers it with the engine. existed says that this version was there already. The error is *skald.Faults if something is wrong with
	// the definition; then nothing was kept.
	Define(ctx context.Context, file string, text []byte) (d skald.Registered, existed bool, err error)
	// Check does all of that but keeping and registering it.
	Check(file string, text []byte) (skald.Registered, error)
	// Participants are all whom the engine can call or hear of, by name.
	Participants() map[string]skald.Participant
	// Addresses are those that were entered, by name.
	Addresses() map[string]participant.Address
	// Enter keeps where a participant is called, and calls it there from then on. The error wraps participant.ErrEntry if that cannot be.
	Enter(ctx context.Context, name string, at participant.Address) (existed bool, err error)
	// Remove takes a participant out. The error wraps participant.ErrNotEntered, or participant.ErrEntry while definitions name it.
	Remove(ctx context.Context, name string) error
}

// definitions are those that are served. They grow; whoever reads gets one state of them.
type definitions struct {
	adding sync.Mutex
	list   atomic.Pointer[[]Definition]

	sources sync.Map // skald.Registered by name@version: what they were made of
}

// source is what a definition was made of.
func (x *definitions) source(d *Definition) skald.Registered {
	found, _ := x.sources.Load(d.Name + "@" + d.Version)
	s, _ := found.(skald.Registered) // every one that is served has one
	return s
}

func (x *definitions) all() []Definition {
	if list := x.list.Load(); list != nil {
		return *list
	}
	return nil
}

// add serves a definition more, which is the latest of its name. One that is served already stays as it is.
func (h *Handler) add(s skald.Registered) (Definition, error) {
	d, err := Describe(s, h.participants())
	if err != nil {
		return d, err
	}
	h.definitions.adding.Lock()
	defer h.definitions.adding.Unlock()
	list := slices.Clone(h.definitions.all())
	for i := range list {
		if list[i].Name != d.Name {
			continue
		}
		if list[i].Version == d.Version {
			return list[i], nil
		}
		list[i].Latest = false
	}
	list = append(list, d)
	h.definitions.sources.Store(d.Name+"@"+d.Version, s)
	h.definitions.list.Store(&list)
	return d, nil
}

// participants are those of the configuration and of the registry.
func (h *Handler) participants() map[string]skald.Participant {
	if h.Registry == nil {
		return h.Participants
	}
	all := h.Registry.Participants()
	for name, p := range h.Participants {
		all[name] = p
	}
	return all
}

// ParticipantAddress says where a participant is called, and what it promises.
type ParticipantAddress struct {
	URL     string  `json:"url,omitempty"`     // such as http://127.0.0.1:9001; left out for one that only takes part over the broker, in choreographed sagas; definitions name it only where sagas are choreographed unless said otherwise
	Level   string  `json:"level"`             // L2 if it writes key, answer and change in one transaction, L1 behind a sidecar, otherwise L0
	Timeout float64 `json:"timeout,omitempty"` // seconds, of one call, beside the steps' own; 30 unless said
}

// maxDefinition bounds a definition's text, in bytes.
const maxDefinition = 256 << 10

// registry is the registry, or says that there is none.
func (h *Handler) registry() (Registry, error) {
	if h.Registry == nil {
		return nil, problem(http.StatusNotFound, problemNoRegistry, "Nothing can be registered here", "The program that runs the engine has its definitions and participants built in: change the program, or serve the definition with one that takes them, such as skald serve.")
	}
	return h.Registry, nil
}

// define answers POST /v1/definitions. It goes on when the client hangs up, as a start does.
func (h *Handler) define(w http.ResponseWriter, r *http.Request) error {
	registry, err := h.registry()
	if err != nil {
		return err
	}
	dry, err := dryRun(r)
	if err != nil {
		return err
	}
	text, err := readText(w, r)
	if err != nil {
		return err
	}
	s, err := registry.Check("", text)
	if err != nil {
		return unusable(err)
	}
	if who := whoAsks(r.Context()); !who.Sees(s.Name()) {
		return problem(http.StatusForbidden, problemForbidden, "It is not yours to do", "Definition %s lies outside of your namespace, %s: its name has to begin with %q.", s.Name(), who.Namespace, who.Namespace+".")
	}
	noteOf(r.Context()).target = s.Name() + "@" + s.Version()
	if dry {
		d, err := Describe(s, h.participants())
		if err == nil {
			writeJSON(w, http.StatusOK, "application/json", d)
		}
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), startTime)
	defer cancel()
	s, existed, err := registry.Define(ctx, "", text)
	if err != nil {
		return unusable(err)
	}
	d, err := h.add(s)
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if existed {
		status = http.StatusOK
	}
	w.Header().Set("Location", "/v1/definitions/"+d.Name+"?version="+d.Version)
	writeJSON(w, status, "application/json", d)
	return nil
}

// dryRun says whether a request only asks what a change would do.
func dryRun(r *http.Request) (bool, error) {
	q := query{values: r.URL.Query()}
	dry := q.yes("dry_run")
	return dry, q.err()
}

// previewQuery implements preview for requests whose query says it.
func previewQuery(_ http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	dry, err := dryRun(r)
	return r, err == nil && dry
}

// readText returns a request's YAML or JSON.
func readText(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" && media != "application/yaml" {
		return nil, problem(http.StatusUnsupportedMediaType, problemMediaType, "The body's type is not understood", "Content-Type is %.100q: send application/yaml or application/json.", r.Header.Get("Content-Type"))
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxDefinition))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, problem(http.StatusRequestEntityTooLarge, problemTooLarge, "The body is too large", "%d bytes are allowed: split the saga.", maxDefinition)
	case err != nil:
		return nil, badRequest("body", "The body ended early: send as much as Content-Length says.")
	}
	return text, nil
}

// unusable says what is wrong with a definition, each with its place in the body.
func unusable(err error) error {
	var faults *skald.Faults
	if !errors.As(err, &faults) {
		return err
	}
	many := fmt.Sprintf("%d faults", len(faults.List))
	if len(faults.List) == 1 {
		many = "1 fault"
	}
	p := problem(http.StatusUnprocessableEntity, problemDefinition, "The definition cannot be used", "Definition %s has %s, see errors. Nothing was kept: mend the text and send it again.", faults.Definition, many)
	for _, f := range faults.List {
		place, detail := "body", f.Problem+"; "+f.Mend
		if at := f.At.String(); at != "" {
			place += " " + at
		}
		if f.Step != "" {
			detail = "step " + f.Step + ": " + detail
		}
		p.Errors = append(p.Errors, Fault{place, detail})
	}
	return p
}

// enterParticipant answers PUT /v1/participants/{name}.
func (h *Handler) enterParticipant(w http.ResponseWriter, r *http.Request) error {
	registry, err := h.registry()
	if err == nil {
		err = everywhere(r)
	}
	if err != nil {
		return err
	}
	body, err := readDocument[ParticipantAddress](w, r, maxBody)
	if err != nil {
		return err
	}
	at := participant.Address{URL: body.URL, Timeout: time.Duration(body.Timeout * float64(time.Second))}
	for _, l := range []participant.Level{participant.L0, participant.L1, participant.L2} {
		if l.String() == body.Level {
			at.Level = l
		}
	}
	switch {
	case at.Level == 0:
		return badContent(Fault{"body /level", "say L2 if it writes key, answer and change in one transaction, L1 behind a sidecar, otherwise L0"})
	case body.Timeout < 0 || body.Timeout > time.Hour.Seconds():
		return badContent(Fault{"body /timeout", "it is a number of seconds, up to an hour"})
	}
	existed, err := registry.Enter(r.Context(), r.PathValue("name"), at)
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if existed {
		status = http.StatusOK
	}
	return h.showParticipant(w, r, status)
}

// everywhere refuses who sees one namespace only: participants are called by the definitions of all.
func everywhere(r *http.Request) error {
	if who := whoAsks(r.Context()); who.Namespace != access.Everywhere {
		return problem(http.StatusForbidden, problemForbidden, "It is not yours to do", "Participants are shared by all namespaces, and yours is %s: ask an admin of all.", who.Namespace)
	}
	return nil
}

// getParticipant answers GET /v1/participants/{name}.
func (h *Handler) getParticipant(w http.ResponseWriter, r *http.Request) error {
	return h.showParticipant(w, r, http.StatusOK)
}

func (h *Handler) showParticipant(w http.ResponseWriter, r *http.Request, status int) error {
	all := h.everybody(r.Context())
	p := all[r.PathValue("name")]
	if p == nil {
		return problem(http.StatusNotFound, problemNoParticipant, "No such participant", "No participant has the name %.100q: %s.", r.PathValue("name"), among(slices.Sorted(maps.Keys(all))))
	}
	writeJSON(w, status, "application/json", *p)
	return nil
}

// removeParticipant answers DELETE /v1/participants/{name}.
func (h *Handler) removeParticipant(w http.ResponseWriter, r *http.Request) error {
	registry, err := h.registry()
	if err == nil {
		err = everywhere(r)
	}
	if err == nil {
		err = registry.Remove(r.Context(), r.PathValue("name"))
	}
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// Define registers a definition that was written as YAML, or as JSON if it begins with a brace. When it returns nil it is durable and can be started; existed says that this version was there already. The
// error is a *Problem with every fault and its line if something is wrong with the definition.
func (c *Client) Define(ctx context.Context, text []byte) (d Definition, existed bool, err error) {
	return c.define(ctx, text, nil)
}

// AsyncAPI is a definition as an AsyncAPI 3.0 document; without a version, the latest.
func (c *Client) AsyncAPI(ctx context.Context, name, version string) (json.RawMessage, error) {
	return get[json.RawMessage](ctx, c, "/v1/definitions/"+url.PathEscape(name)+"/asyncapi", valuesOf(map[string]string{"version": version}))
}

// Check says what is wrong with a definition, as Define does, without registering it.
func (c *Client) Check(ctx context.Context, text []byte) (Definition, error) {
	d, _, err := c.define(ctx, text, url.Values{"dry_run": {"true"}})
	return d, err
}

func (c *Client) define(ctx context.Context, text []byte, query url.Values) (d Definition, existed bool, err error) {
	media := "application/yaml"
	if strings.HasPrefix(strings.TrimSpace(string(text)), "{") {
		media = "application/json"
	}
	w, err := c.send(ctx, request{method: http.MethodPost, path: "/v1/definitions", query: query, body: append([]byte{}, text...), head: map[string]string{"Content-Type": media}})
	if err != nil {
		return d, false, err
	}
	defer w.Body.Close()
	d, err = answered[Definition](ctx, c, w)
	return d, w.StatusCode == http.StatusOK, err
}

// Enter enters a participant, or changes where it is called.
func (c *Client) Enter(ctx context.Context, name string, at ParticipantAddress) (none Participant, err error) {
	body, err := encode(at)
	if err != nil {
		return none, err
	}
	return ask[Participant](ctx, c, request{method: http.MethodPut, path: participantPath(name), body: body})
}

// Participant shows a participant.
func (c *Client) Participant(ctx context.Context, name string) (Participant, error) {
	return get[Participant](ctx, c, participantPath(name), nil)
}

// RemoveParticipant takes a participant out that no definition names.
func (c *Client) RemoveParticipant(ctx context.Context, name string) error {
	w, err := c.send(ctx, request{method: http.MethodDelete, path: participantPath(name)})
	if err != nil {
		return err
	}
	return w.Body.Close()
}

func participantPath(name string) string { return "/v1/participants/" + url.PathEscape(name) }
