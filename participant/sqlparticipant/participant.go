// Package sqlparticipant answers a saga's calls with exactly one effect in a service's own SQL database. It keeps one row per saga and
// step (the barrier) and writes it in the same transaction as the handler's change and the events that follow from it (the outbox), so that
// the three happen together or not at all. SQLite and PostgreSQL are supported, through database/sql.
//
// What it answers to repetitions, to calls that overtake one another and to refusals is written at Participant.Invoke.
// Relay sends what is in the outbox; Tidy forgets what no redelivery can ask for any more.
//
// It does not promise anything for effects outside the database: a handler that sends a mail sends it again when its
// transaction did not commit. Such a handler needs a key at the other side, for which participant.CallOf gives the call's Key.
// An event is sent at least once, not exactly once.
package sqlparticipant

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skaldhq/skald/participant"
)

// DefaultRetention is how long barrier rows are kept at least, unless Config says otherwise.
const DefaultRetention = 30 * 24 * time.Hour

// setupTime bounds what New does with the database.
const setupTime = 30 * time.Second

// Config says where a participant keeps its data.
type Config struct {
	// DB is the service's own database; the participant does not close it. For SQLite use OpenSQLite, or open it with _txlock=immediate, WAL and a
	// busy_timeout. Required.
	DB *sql.DB
	// Dialect says what DB is. Required.
	Dialect Dialect
	// Name is the participant's name, such as "inventaire": the source of its events. Participants that share a database need different names. Required.
	Name string
	// Retention is how long a barrier row is kept after its last change: Tidy forgets what is older, and Prune refuses to forget younger ones. It must be longer than any saga may
	// live, with the time that incidents wait for people, and than any call or message can be redelivered. Default: DefaultRetention.
	Retention time.Duration
	// KeepSchema leaves the tables to the service's own migrations (see Schema); New then only looks whether they are there.
	KeepSchema bool
	// Poll is about how often the relay looks by itself for messages that other processes wrote; a commit of this participant wakes it
	// at once. Default: 5 s.
	Poll time.Duration
	// Log takes panics and errors of handlers. Default: slog.Default().
	Log *slog.Logger
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() (Config, error) {
	var faults []error
	if c.DB == nil {
		faults = append(faults, errors.New("Config.DB is nil: give the service's database, for instance from OpenSQLite"))
	}
	if c.Dialect != SQLite && c.Dialect != PostgreSQL {
		faults = append(faults, errors.New("Config.Dialect is not set: say SQLite or PostgreSQL"))
	}
	if why := participant.CheckName(c.Name); why != "" {
		faults = append(faults, fmt.Errorf("Config.Name cannot be used: %s; name the participant, for instance \"inventaire\"", why))
	}
	if c.Retention < 0 || c.Poll < 0 {
		faults = append(faults, errors.New("Config.Retention and Config.Poll must not be negative: leave them out for 30 days and 5 s"))
	}
	c.Poll = cmp.Or(c.Poll, 5*time.Second)
	c.Retention = cmp.Or(c.Retention, DefaultRetention)
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, errors.Join(faults...)
}

// Participant answers calls. It implements participant.Invoker and participant.Described and may be used concurrently.
type Participant struct {
	db         *sql.DB
	dialect    Dialect
	name       string
	retention  time.Duration
	poll       time.Duration
	log        *slog.Logger
	now        func() time.Time
	sql        statements
	operations map[string]*operation
	writer     chan struct{} // held by the one writer that SQLite can have; nil for PostgreSQL
	committed  chan struct{} // wakes the relay
	queue      queue         // work that waits for the writer
	lone       atomic.Int64  // so much work in a row had nobody to share its transaction with
	commits    atomic.Int64

	pruning sync.Mutex
	sweeps  []sweep // of Prune, where the last call left them

	settling sync.Mutex
	settled  []participant.Token // told and decided as they are, to be written with the next commit
}

// operation is one durable name with its handler.
type operation struct {
	name  string
	phase participant.Phase
	*participant.Handler
}

// New returns a participant that answers with these handlers, after it made sure that its tables are there. It reports every fault of
// the configuration and the handlers at once.
func New(cfg Config, handlers ...participant.Handler) (*Participant, error) {
	cfg, err := cfg.withDefaults()
	operations, faults := index(handlers)
	if err := errors.Join(err, faults); err != nil {
		return nil, fmt.Errorf("sqlparticipant: cannot be set up:\n%w", err)
	}
	p := &Participant{
		db: cfg.DB, dialect: cfg.Dialect, name: cfg.Name, retention: cfg.Retention, poll: cfg.Poll, log: cfg.Log.With("participant", cfg.Name),
		now: cfg.Now, sql: cfg.Dialect.statements(), operations: operations, committed: make(chan struct{}, 1),
	}
	p.sweeps = slices.Clone(p.sql.sweeps)
	if cfg.Dialect == SQLite {
		p.writer = make(chan struct{}, 1)
		p.queue.more = make(chan struct{}, 1)
	}
	ctx, cancel := context.WithTimeout(context.Background(), setupTime)
	defer cancel()
	if err := p.setUp(ctx, cfg.KeepSchema); err != nil {
		return nil, fmt.Errorf("sqlparticipant: %s: %w", cfg.Name, err)
	}
	return p, nil
}

// Operations returns what the participant answers, sorted by name.
func (p *Participant) Operations() []participant.Operation {
	all := make([]participant.Operation, 0, len(p.operations))
	for _, o := range p.operations {
		all = append(all, participant.Operation{Name: o.name, Phase: o.phase, Kind: o.Kind})
	}
	slices.SortFunc(all, func(a, b participant.Operation) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Commits is how many transactions with calls and tokens this process has committed, for measurements. Many of them may share one.
func (p *Participant) Commits() int64 { return p.commits.Load() }

// Level is participant.L2: the barrier is in the participant's own transaction.
func (p *Participant) Level() participant.Level { return participant.L2 }
