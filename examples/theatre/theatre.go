package theatre

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/access/sqliteaccess"
	"github.com/skaldhq/skald/broker/membroker"
	"github.com/skaldhq/skald/console"
	"github.com/skaldhq/skald/examples/local"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store/sqlitestore"
	"github.com/skaldhq/skald/webhook"
)

// Config says where the theatre is.
type Config struct {
	Listen string       // loopback address of the API and the console; required
	Data   string       // folder of its databases, made if it is missing; required
	Logger *slog.Logger // default: none
	// Guarded asks everybody who they are, and keeps an audit log: see Key.
	Guarded bool
	// Outsiders are told how visits ended: the Newspaper and the Agency.
	Outsiders bool
}

// Theatre is a running theatre. Its methods may be called concurrently.
type Theatre struct {
	config Config
	saga   *skald.Saga[Visit]
	former *skald.Saga[Visit]
	engine *skald.Engine
	access *sqliteaccess.Store // of a guarded theatre
	seats  atomic.Int64

	outside *outsiders

	mu    sync.Mutex
	cures map[Trouble]cure

	listener net.Listener
	server   *http.Server
	failed   chan error
	stoppers []func(context.Context) error // in order of starting
	closers  []func() error
	once     sync.Once
	err      error
}

// cure is of one kind of trouble, whose time ends with it.
type cure struct {
	ctx context.Context
	end context.CancelFunc
}

// Start opens the theatre and goes on with every visit that has no outcome yet. ctx bounds the start only. The caller stops what was started.
func Start(ctx context.Context, c Config) (*Theatre, error) {
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	t := &Theatre{config: c, cures: map[Trouble]cure{}, failed: make(chan error, 1)}
	t.outside = &outsiders{closed: func() bool { return t.ails(Closed) }, secrets: map[string]webhook.Secret{}}
	if err := t.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("the theatre cannot open: %w", err), t.Stop(ctx))
	}
	return t, nil
}

func (t *Theatre) start(ctx context.Context) (err error) {
	if t.config.Data == "" {
		return errors.New("there is no folder for the data: give one")
	}
	if err := os.MkdirAll(t.config.Data, 0o700); err != nil {
		return err
	}
	if t.listener, err = local.Listen(ctx, t.config.Listen); err != nil {
		return err
	}
	if t.saga, err = Definition(); err != nil {
		return err
	}
	if t.former, err = former(); err != nil {
		return err
	}
	api, err := t.open(ctx)
	if err != nil {
		return err
	}
	pages, err := console.New(console.Config{TraceURL: "http://127.0.0.1:16686/trace/{trace}"})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/", api)
	mux.Handle("/livez", api)
	mux.Handle("/readyz", api)
	mux.Handle("POST /outside/{name}", t.outside)
	mux.Handle("/", pages)
	t.server = &http.Server{Handler: local.Only(http.NewCrossOriginProtection().Handler(mux)), ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(t.config.Logger.Handler(), slog.LevelDebug)}
	t.server.RegisterOnShutdown(api.Drain)
	go func() {
		if err := t.server.Serve(t.listener); !errors.Is(err, http.ErrServerClosed) {
			t.failed <- err
		}
	}()
	t.stoppers = append(t.stoppers, t.server.Shutdown)
	return nil
}

// open opens the services, which take part in both modes, the engine and the API.
func (t *Theatre) open(ctx context.Context) (*httpapi.Handler, error) {
	st, err := sqlitestore.Open(sqlitestore.Config{Path: filepath.Join(t.config.Data, "journals.db")})
	if err != nil {
		return nil, err
	}
	t.closers = append(t.closers, st.Close)
	desks, err := t.desks()
	if err != nil {
		return nil, err
	}
	b, sagas, participants := membroker.New(membroker.Config{}), []skald.Registered{t.former, t.saga}, map[string]skald.Participant{}
	for name, desk := range desks {
		participants[name] = skald.Participant{Invoker: desk, Level: participant.L2}
		service, err := skald.Serve(ctx, skald.ServiceConfig{Broker: b, Name: name, Desk: desk, Sagas: sagas, Logger: t.config.Logger})
		if err != nil {
			return nil, err
		}
		t.stoppers = append(t.stoppers, service.Stop)
	}
	remediation, err := skald.Remediate(ctx, skald.RemediationConfig{Broker: b, Sagas: sagas, Logger: t.config.Logger})
	if err != nil {
		return nil, err
	}
	t.stoppers = append(t.stoppers, remediation.Stop)
	activity := httpapi.NewActivity(sagas)
	t.engine, err = skald.Open(ctx, skald.Config{Store: st, Sagas: sagas, Participants: participants, Broker: b, Observer: activity, Logger: t.config.Logger})
	if err != nil {
		return nil, err
	}
	t.stoppers = append(t.stoppers, t.engine.Stop)
	c := httpapi.Config{Engine: t.engine, Sagas: sagas, Participants: participants, Remediation: remediation, Activity: activity, Logger: t.config.Logger}
	if t.config.Outsiders {
		if c.Webhooks, err = t.tellOutsiders(ctx); err != nil {
			return nil, err
		}
	}
	if t.config.Guarded {
		if t.access, err = sqliteaccess.Open(ctx, sqliteaccess.Config{Path: filepath.Join(t.config.Data, "access.db"), Logger: t.config.Logger}); err != nil {
			return nil, err
		}
		t.closers = append(t.closers, t.access.Close)
		c.Door, c.Keys, c.Audit = &access.Door{Knows: []access.Authenticator{t.access}, Sessions: access.NewSessions(false, 0)}, t.access, t.access
	}
	return httpapi.New(c)
}

// Key makes an API key of a guarded theatre, for somebody with this name and role.
func (t *Theatre) Key(ctx context.Context, name string, role access.Role) (string, error) {
	if t.access == nil {
		return "", errors.New("the theatre asks nobody who they are: open it guarded")
	}
	_, secret, err := t.access.Create(ctx, access.Key{Name: name, Role: role, Namespace: access.Everywhere, CreatedBy: "the theatre"})
	return secret, err
}

// URL is where the console is, without a slash at the end.
func (t *Theatre) URL() string { return "http://" + t.listener.Addr().String() }

// Engine is the theatre's engine. The theatre stops it.
func (t *Theatre) Engine() *skald.Engine { return t.engine }

// Begin starts a visit.
func (t *Theatre) Begin(ctx context.Context, v Visit, options ...skald.StartOption) (skald.SagaID, error) {
	return t.begin(ctx, t.saga, v, options...)
}

// BeginFormer starts a visit with the version of the definition from before.
func (t *Theatre) BeginFormer(ctx context.Context, v Visit, options ...skald.StartOption) (skald.SagaID, error) {
	return t.begin(ctx, t.former, v, options...)
}

func (t *Theatre) begin(ctx context.Context, saga *skald.Saga[Visit], v Visit, options ...skald.StartOption) (skald.SagaID, error) {
	if v.Trouble == NoPaper {
		v.Show += " (" + string(NoPaper) + ")" // the printer reads only what the box office hands on
	}
	run, err := saga.Start(ctx, t.engine, v, options...)
	if err != nil {
		return "", err
	}
	return run.ID, nil
}

// Mend ends a kind of trouble, for all visits.
func (t *Theatre) Mend(x Trouble) { t.cureOf(x).end() }

func (t *Theatre) ails(x Trouble) bool { return t.cureOf(x).ctx.Err() == nil }

// outlast waits for the end of a kind of trouble.
func (t *Theatre) outlast(ctx context.Context, x Trouble) error {
	select {
	case <-t.cureOf(x).ctx.Done():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *Theatre) cureOf(x Trouble) cure {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, known := t.cures[x]
	if !known {
		c.ctx, c.end = context.WithCancel(context.Background())
		t.cures[x] = c
	}
	return c
}

func (t *Theatre) has(v Visit, x Trouble) bool { return v.Trouble == x && t.ails(x) }

// Failed receives an error if the theatre stops by itself. The caller still stops it.
func (t *Theatre) Failed() <-chan error { return t.failed }

// Stop closes the theatre: what is under way is waited for until ctx ends.
func (t *Theatre) Stop(ctx context.Context) error {
	t.once.Do(func() {
		var faults []error
		for i := len(t.stoppers) - 1; i >= 0; i-- {
			faults = append(faults, t.stoppers[i](ctx))
		}
		for i := len(t.closers) - 1; i >= 0; i-- {
			faults = append(faults, t.closers[i]())
		}
		if t.listener != nil && t.server == nil {
			faults = append(faults, t.listener.Close())
		}
		t.err = errors.Join(faults...)
	})
	return t.err
}
