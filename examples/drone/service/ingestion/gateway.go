package ingestion

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/skaldhq/skald/examples/problem"
	"github.com/skaldhq/skald/examples/switches"
)

const (
	serviceTime = 4 * time.Second // for one question
	serviceBody = 8 << 20         // bytes of an answer
)

// asker asks the services what the pages show. It follows no redirects and uses no proxy.
type asker struct{ client *http.Client }

func newAsker() *asker {
	return &asker{&http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: serviceTime},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (a *asker) close() { a.client.CloseIdleConnections() }

// said is a service's answer.
type said struct {
	status int
	header http.Header
	body   []byte
}

func (a *asker) ask(ctx context.Context, service, method, path string, body []byte) (said, error) {
	ctx, cancel := context.WithTimeout(ctx, serviceTime)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, service+path, bytes.NewReader(body))
	if err != nil {
		return said{}, err
	}
	if len(body) > 0 {
		q.Header.Set("Content-Type", "application/json")
	}
	res, err := a.client.Do(q)
	if err != nil {
		return said{}, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, serviceBody))
	return said{res.StatusCode, res.Header, answer}, err
}

// get asks a service for a JSON document.
func get[T any](ctx context.Context, a *asker, service, path string) (document T, err error) {
	s, err := a.ask(ctx, service, http.MethodGet, path, nil)
	if err != nil {
		return document, err
	}
	if s.status != http.StatusOK {
		return document, fmt.Errorf("%s%s answered %d", service, path, s.status)
	}
	return document, json.Unmarshal(s.body, &document)
}

// forwards are the pages of other services, for those who know this address only.
func (i *Ingestion) forwards(mux *http.ServeMux) {
	to := i.config.Services
	for pattern, service := range map[string]string{
		"/api/packages/{id}": to.Package, "/api/dronedeliveries/{id}": to.Drone,
		"PUT /api/deliveries/{id}":                to.Delivery,
		"POST /api/deliveries/{id}/confirmations": to.Delivery, "POST /api/deliveries/{id}/notifymerequests": to.Delivery,
		"GET /api/deadletters": to.Remediation, "POST /api/deadletters/{id}/{verb}": to.Remediation,
	} {
		mux.Handle(pattern, i.forward(service, func(r *http.Request) string { return r.URL.RequestURI() }))
	}
	mux.Handle("GET /api/outsider", i.forward(to.Outsider, func(*http.Request) string { return "/events" }))
	mux.HandleFunc("GET /api/switches", i.switches)
	mux.HandleFunc("PUT /api/switches/{operation}", i.setSwitch)
	mux.HandleFunc("DELETE /api/switches", i.resetSwitches)
}

// forward asks a service and answers what it answered.
func (i *Ingestion) forward(service string, path func(r *http.Request) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if service == "" {
			problem.New(http.StatusNotFound, "the service behind this page does not run here").Write(w)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			problem.New(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", maxBody)).Write(w)
			return
		}
		s, err := i.ask.ask(r.Context(), service, r.Method, path(r), body)
		if err != nil {
			i.unavailable(w, r, err, "the service behind this page does not answer: ask again")
			return
		}
		s.write(w)
	})
}

func (s said) write(w http.ResponseWriter) {
	for _, name := range []string{"Content-Type", "Location", "Retry-After", "Cache-Control"} {
		if v := s.header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.WriteHeader(s.status)
	_, _ = w.Write(s.body)
}

// owners are the services with failure switches, by the name that their operations begin with.
func (i *Ingestion) owners() []struct{ name, url string } {
	to := i.config.Services
	return []struct{ name, url string }{{"package", to.Package}, {"drone", to.Drone}, {"delivery", to.Delivery}}
}

// switches answers GET /api/switches: those of all services that answer.
func (i *Ingestion) switches(w http.ResponseWriter, r *http.Request) {
	all := []switches.Setting{}
	for _, s := range i.owners() {
		some, err := get[[]switches.Setting](r.Context(), i.ask, s.url, "/switches")
		if err != nil {
			i.log.WarnContext(r.Context(), "a service does not say its failure switches", "of", s.name, "error", err)
		}
		all = append(all, some...)
	}
	problem.JSON(w, http.StatusOK, "application/json", all)
}

// setSwitch answers PUT /api/switches/{operation} as the operation's service does.
func (i *Ingestion) setSwitch(w http.ResponseWriter, r *http.Request) {
	name, _, _ := strings.Cut(r.PathValue("operation"), ".")
	owners := i.owners()
	n := slices.IndexFunc(owners, func(s struct{ name, url string }) bool { return s.name == name })
	if n < 0 {
		problem.New(http.StatusNotFound, "there is no operation of this name").Write(w)
		return
	}
	i.forward(owners[n].url, func(r *http.Request) string { return "/switches/" + r.PathValue("operation") }).ServeHTTP(w, r)
}

// resetSwitches answers DELETE /api/switches: everything off, at every service.
func (i *Ingestion) resetSwitches(w http.ResponseWriter, r *http.Request) {
	for _, s := range i.owners() {
		a, err := i.ask.ask(r.Context(), s.url, http.MethodDelete, "/switches", nil)
		if err == nil && a.status != http.StatusNoContent {
			err = fmt.Errorf("%s answered %d", s.name, a.status)
		}
		if err != nil {
			i.unavailable(w, r, err, "not every service turned its failure switches off: ask again")
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}
