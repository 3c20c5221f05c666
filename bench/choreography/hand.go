package choreography

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// hand is what people write when nobody is to stand in the middle: each service hears of the step before its own, and writes inbox, effect and outbox in one transaction before it publishes what follows. It is as durable
// as Skald, and takes effect once. It knows no refusals, no way back, no deadlines, no journal and no incidents.
type hand struct {
	broker  *natsbroker.Broker
	mu      sync.Mutex
	ends    map[string]chan struct{} // by saga
	working sync.WaitGroup
	failed  chan error
	cancel  context.CancelFunc
	close   []func() error
}

// handTopic carries what the services tell each other.
const handTopic = "hand"

// handSteps are the steps in their order, and who takes them.
func handSteps() []struct{ step, after, service string } {
	return []struct{ step, after, service string }{
		{"create", "start", "commande"}, {"check", "create", "produit"}, {"reserve", "check", "inventaire"}, {"charge", "reserve", "paiement"},
		{"issue", "charge", "transaction"}, {"confirm", "issue", "commande"},
	}
}

// handService is one service, with its database and the one writer that this has.
type handService struct {
	broker *natsbroker.Broker
	name   string
	follow map[string]string // step by the one before

	db                                 *sql.DB
	inbox, effect, outbox, outboxEmpty *sql.Stmt
	mu                                 sync.Mutex
	published                          []string // ids that need not stand in the outbox any more
}

func openHand(ctx context.Context, dir string) (h *hand, err error) {
	h = &hand{ends: make(map[string]chan struct{}), failed: make(chan error, databases+1)}
	ctx, h.cancel = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			err = errors.Join(err, h.stop())
		}
	}()
	quiet := slog.New(slog.DiscardHandler)
	server, err := natsbroker.Start(natsbroker.ServerConfig{Dir: filepath.Join(dir, "broker"), Log: quiet})
	if err != nil {
		return h, err
	}
	h.close = append(h.close, server.Close)
	if h.broker, err = natsbroker.Open(ctx, natsbroker.Config{Server: server, Log: quiet}); err != nil {
		return h, err
	}
	h.close = append(h.close, h.broker.Close)
	services := make(map[string]*handService)
	topic := broker.Topic{Name: handTopic, Kept: true, Subscriptions: []broker.Subscription{{Name: "ends", Filters: []broker.Filter{"*/confirm"}, MaxInFlight: 100_000}}}
	for _, s := range handSteps() {
		x := services[s.service]
		if x == nil {
			x = &handService{broker: h.broker, name: s.service, follow: make(map[string]string)}
			services[s.service] = x
			if err := x.open(ctx, dir); err != nil {
				return h, err
			}
			h.close = append(h.close, x.db.Close)
		}
		x.follow[s.after] = s.step
	}
	for _, x := range services {
		sub := broker.Subscription{Name: x.name, MaxInFlight: 100_000}
		for after := range x.follow {
			sub.Filters = append(sub.Filters, broker.Filter("*/"+after))
		}
		topic.Subscriptions = append(topic.Subscriptions, sub)
	}
	if err := h.broker.Declare(ctx, topic); err != nil {
		return h, err
	}
	consume := func(name string, handle broker.Handler) {
		h.working.Go(func() {
			h.failed <- broker.Consume(ctx, h.broker, broker.ConsumerConfig{Topic: handTopic, Subscription: name, Parallel: 64, Unconfirmed: true, Log: quiet}, handle)
		})
	}
	for _, x := range services {
		consume(x.name, x.take)
	}
	consume("ends", h.end)
	return h, nil
}

func (h *hand) stop() error {
	h.cancel()
	h.working.Wait()
	close(h.failed)
	var all error
	for err := range h.failed {
		all = errors.Join(all, err)
	}
	for i := len(h.close) - 1; i >= 0; i-- {
		all = errors.Join(all, h.close[i]())
	}
	return all
}

// one runs one saga to its end.
func (h *hand) one(ctx context.Context, o order) error {
	saga, end := uuid.NewString(), make(chan struct{})
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.ends[saga] = end
	h.mu.Unlock()
	if err := tell(ctx, h.broker, saga, "start", data); err != nil {
		return err
	}
	select {
	case <-end:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (h *hand) end(_ context.Context, d *broker.Delivery) error {
	saga := d.Message.Key.Elements()[0]
	h.mu.Lock()
	defer h.mu.Unlock()
	if end, ok := h.ends[saga]; ok {
		close(end)
		delete(h.ends, saga)
	}
	return nil
}

func tell(ctx context.Context, b *natsbroker.Broker, saga, step string, data []byte) error {
	m := broker.Message{ID: saga + step, Type: "hand." + step, Source: "hand", Key: broker.NewKey(saga, step), Time: time.Now(), Data: data}
	_, err := b.Decide(ctx, handTopic, m)
	return err
}

func (x *handService) open(ctx context.Context, dir string) (err error) {
	if x.db, err = sqlparticipant.OpenSQLite(filepath.Join(dir, x.name+".db")); err != nil {
		return err
	}
	if _, err = x.db.ExecContext(ctx, `
CREATE TABLE IF NOT EXISTS inbox (saga TEXT, step TEXT, PRIMARY KEY (saga, step)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS effect (saga TEXT, step TEXT, data BLOB, PRIMARY KEY (saga, step)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (id TEXT PRIMARY KEY, data BLOB) WITHOUT ROWID`); err != nil {
		return err
	}
	for s, text := range map[**sql.Stmt]string{
		&x.inbox: `INSERT INTO inbox (saga, step) VALUES (?, ?) ON CONFLICT DO NOTHING`, &x.effect: `INSERT INTO effect (saga, step, data) VALUES (?, ?, ?)`,
		&x.outbox: `INSERT INTO outbox (id, data) VALUES (?, ?)`, &x.outboxEmpty: `DELETE FROM outbox WHERE id = ?`,
	} {
		if *s, err = x.db.PrepareContext(ctx, text); err != nil { //nolint:sqlclosecheck // it lives as long as the database
			return err
		}
	}
	return nil
}

// take does the step that follows from a message, and tells of it.
func (x *handService) take(ctx context.Context, d *broker.Delivery) error {
	key := d.Message.Key.Elements()
	saga, step := key[0], x.follow[key[1]]
	var o order
	if err := json.Unmarshal(d.Message.Data, &o); err != nil {
		return err
	}
	if err := x.transact(ctx, saga, step, d.Message.Data); err != nil {
		return err
	}
	if err := tell(ctx, x.broker, saga, step, d.Message.Data); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.published = append(x.published, saga+step)
	return nil
}

// transact writes inbox, effect and outbox, and takes out of this what was published before.
func (x *handService) transact(ctx context.Context, saga, step string, data []byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	tx, err := x.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	run := func(s *sql.Stmt, args ...any) (int64, error) {
		res, err := tx.StmtContext(ctx, s).ExecContext(ctx, args...) //nolint:sqlclosecheck // the transaction's end closes it
		if err != nil {
			return 0, err
		}
		return res.RowsAffected()
	}
	if n, err := run(x.inbox, saga, step); err != nil || n == 0 { // it was taken before
		return err
	}
	if _, err := run(x.effect, saga, step, data); err != nil {
		return err
	}
	if _, err := run(x.outbox, saga+step, data); err != nil {
		return err
	}
	for _, id := range x.published {
		if _, err := run(x.outboxEmpty, id); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	x.published = x.published[:0]
	return nil
}
