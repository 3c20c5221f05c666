package sidecar

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/sealed"
	"github.com/skaldhq/skald/traces"
)

// Config says what a sidecar stands beside.
type Config struct {
	// Name is the participant's: "package" of "package.upsert". Required.
	Name string
	// Service is where the service answers calls: "http://127.0.0.1:9000", with a path if it has one, or "unix:///run/package.sock". Required.
	Service string
	// Data is the folder of the sidecar's database. It is made if it does not exist, and used by one process at a time. Required.
	Data string
	// Listen is the address for calls of an orchestrator, health and metrics: a loopback one, unless TLS asks callers for their certificates. Default: 127.0.0.1:0.
	Listen string
	// TLS encrypts what comes to Listen; access.Certificates makes it. Default: none.
	TLS *tls.Config
	// ServiceTLS is for a service at an https address: whom to trust, and the certificate to show. Default: Go's defaults.
	ServiceTLS *tls.Config
	// Sealed opens what the service is asked, and seals what it answers, so that nobody else sees it. Default: none.
	Sealed *sealed.Ring
	// Sagas are the definitions that the participant's operations stand in; several versions of one may be there. Others are left out. Required.
	Sagas []skald.Registered
	// Redact names what of payloads does not leave the service, as in skald.ServiceConfig. Calls of an orchestrator are answered in full: that one leaves out what it does not keep. Default: nothing.
	Redact skald.Redactions
	// Broker carries the tokens of choreographed sagas. The sidecar does not close it. Default: none; then it only answers an orchestrator.
	Broker broker.Broker
	// Tracer makes spans of what is heard, of calls of the service and of what is published; a broker that is traced, too, is wrapped by whoever gives it (traces.Tracer.Broker). Default: none; then the trace is passed on as it is.
	Tracer *traces.Tracer
	// Events takes the events that the operations announce. Default: none; then there are no events.
	Events participant.Publisher
	// Timeout bounds one call of the service, beside the call's own deadline. Default: 30 s.
	Timeout time.Duration
	// Log never gets payloads. Default: slog.Default().
	Log *slog.Logger
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// defaults fills in what is not said and finds every fault.
func (c *Config) defaults() error {
	var faults []error
	if why := participant.CheckName(c.Name); why != "" {
		faults = append(faults, fmt.Errorf("the participant's name cannot be used: %s; it is what the names of its operations begin with, such as package in package.upsert", why))
	}
	if c.Data == "" {
		faults = append(faults, errors.New("there is no folder for the data: name one that outlives this process"))
	}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	if err := c.listening().Check(); err != nil {
		faults = append(faults, err)
	}
	if c.Timeout < 0 {
		faults = append(faults, errors.New("the time-out of a call is negative: leave it out for 30 s"))
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	c.Log = c.Log.With("participant", c.Name)
	if c.Now == nil {
		c.Now = time.Now
	}
	return errors.Join(faults...)
}

// listening is where the sidecar listens. Without certificates of its callers it knows nobody, and stays on the loopback interface.
func (c *Config) listening() access.Listening {
	return access.Listening{Address: c.Listen, Authenticated: access.MutualServer(c.TLS), TLS: c.TLS != nil, Mend: "give a certificate, its key and the CA of the callers' certificates (--cert, --key, --client-ca)"}
}

// target is the service as the HTTP client sees it.
type target struct {
	client  *httpparticipant.Client
	egress  *httpparticipant.Egress
	network string // of a connection that shows whether anybody is there
	address string
}

// newTarget reads a service's address.
func newTarget(c *Config) (target, error) {
	base := c.Service
	var t target
	path, isSocket := strings.CutPrefix(c.Service, "unix://")
	switch {
	case isSocket && !strings.HasPrefix(path, "/"):
		return t, fmt.Errorf("the service's address %q names no socket: write it as unix:///run/package.sock, with three slashes", c.Service)
	case isSocket:
		base, t.network, t.address = "http://localhost", "unix", path
	case c.Service == "":
		return t, errors.New("the service's address is missing: give one such as http://127.0.0.1:9000 or unix:///run/package.sock")
	}
	t.egress = httpparticipant.NewEgress(httpparticipant.EgressConfig{Socket: t.address, TLS: c.ServiceTLS})
	client, err := httpparticipant.New(httpparticipant.Config{BaseURL: base, Timeout: c.Timeout, Level: participant.L1, Egress: t.egress})
	if err != nil {
		return t, fmt.Errorf("the service: %w", err)
	}
	t.client = client
	if !isSocket {
		t.network, t.address = "tcp", hostPort(base)
	}
	return t, nil
}

// hostPort is the host and port of an address that was checked.
func hostPort(base string) string {
	scheme, rest, _ := strings.Cut(base, "://")
	host, _, _ := strings.Cut(rest, "/")
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	if scheme == "https" {
		return net.JoinHostPort(strings.Trim(host, "[]"), "443")
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), "80")
}

// handlers are the participant's operations as the definitions have them.
func handlers(name string, sagas []skald.Registered, events bool) ([]participant.Handler, error) {
	var all []participant.Handler
	var faults []error
	for _, saga := range sagas {
		for _, step := range saga.Steps() {
			if step.Participant() != name {
				continue
			}
			h := handler(&step, events)
			i := slices.IndexFunc(all, func(x participant.Handler) bool { return x.Action == h.Action })
			if i < 0 {
				all = append(all, h)
			} else if !same(&all[i], &h) {
				faults = append(faults, fmt.Errorf("operation %s is not the same in all definitions (%s %s is one of those that differ): its kind, compensation and events belong to the contract",
					h.Action, saga.Name(), saga.Version()))
			}
		}
	}
	if len(all) == 0 {
		faults = append(faults, fmt.Errorf("no definition has an operation of participant %s: give those whose operations begin with %q, or correct the name", name, name+"."))
	}
	return all, errors.Join(faults...)
}

func same(a, b *participant.Handler) bool {
	return a.Compensation == b.Compensation && a.Kind == b.Kind && a.Stored == b.Stored &&
		a.Success == b.Success && a.Failure == b.Failure && a.Undone == b.Undone
}
