package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Handler handles a message. Its context ends when the lock is lost or the consumer has waited long enough while it stops; then the
// message comes again. Returning nil completes the delivery. A *Rejection, possibly wrapped, sets it aside; a *Retry abandons it with a delay of
// the handler's choice; any other error, and a panic, abandons it with the consumer's back-off. What the handler does must be committed,
// and what follows from it published, when it returns nil. It leaves the settling of the delivery to the consumer.
type Handler func(ctx context.Context, d *Delivery) error

// Rejection is a handler's error that says that the message can never be handled: it is set aside at once.
type Rejection struct{ Problem }

// Error returns reason and description.
func (r *Rejection) Error() string { return r.Reason + ": " + r.Description }

// Retry is a handler's error that says when to try again.
type Retry struct {
	Problem
	After time.Duration
}

// Error returns reason, description and delay.
func (r *Retry) Error() string {
	return fmt.Sprintf("%s: %s; again after %v", r.Reason, r.Description, r.After)
}

// ConsumerConfig says what to consume and how.
type ConsumerConfig struct {
	Topic        string // required
	Subscription string // required
	// Parallel is how many messages are handled at the same time. No more than that are taken from the broker. Default: 16.
	Parallel int
	// Ignore says of a message whether there is nothing to do about it. It is asked where messages are received, so it must answer at once;
	// what it ignores takes no place, is not even decoded where the broker can spare it, and is completed without a handler and without waiting until the broker has heard it. Optional.
	Ignore func(e Envelope) bool
	// Overheard says that the topic is overheard through the same Broker (Overhearer), so that there will be nothing to do about what that decides, most probably, in a moment. Such a message may be kept back for a
	// tenth of a second, and Ignore asked about it again, before it is handed out. As long as all that comes is ignored, a driver may take more from the broker than there are places. Without Ignore it means nothing.
	Overheard bool
	// Backoff is the delay after a failed attempt, by the number of attempts so far. Default: DefaultBackoff.
	Backoff func(count int) time.Duration
	// Unconfirmed completes deliveries without waiting until the broker has heard it, which is far quicker: those that are lost on the way are handed out again. It is for
	// handlers to whom a message that comes again is cheap.
	Unconfirmed bool
	// Grace is how long handlers may go on when the consumer is stopped. Default: 10 s.
	Grace time.Duration
	// Log gets what went wrong with a delivery: the message comes again, so nobody else needs to know. Default: slog.Default().
	Log *slog.Logger
}

// DefaultBackoff doubles from 200 ms to 5 min, and takes off up to half by chance.
func DefaultBackoff(count int) time.Duration {
	d := 5 * time.Minute
	if count <= 11 {
		d = min(d, 100*time.Millisecond<<max(count, 1))
	}
	return d - rand.N(d/2)
}

// Consume receives messages and handles them until the context ends; then it waits for the handlers, at most for Grace and a second in which they are settled, and returns nil. It renews the locks of
// messages while their handlers work, whenever a third of the time has passed. It returns an error only if it cannot receive at all.
func Consume(ctx context.Context, b Broker, cfg ConsumerConfig, handle Handler) error {
	c := &consumer{cfg: cfg.withDefaults(), handle: handle}
	receiver, err := b.Receiver(ctx, cfg.Topic, cfg.Subscription)
	if err != nil {
		return fmt.Errorf("consuming %s of %s: %w", cfg.Subscription, cfg.Topic, err)
	}
	if i, ok := receiver.(Ignorer); ok && c.cfg.Ignore != nil {
		i.Ignore(c.cfg.Ignore, c.cfg.Overheard)
	}
	// Handlers outlive the context by the grace, so that stopping does not make work of theirs in vain.
	working, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	err = c.receive(ctx, working, receiver)
	timer := time.AfterFunc(c.cfg.Grace, abort)
	defer timer.Stop()
	c.working.Wait()
	if closing := receiver.Close(); closing != nil && err == nil {
		err = closing
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("consuming %s of %s: %w", cfg.Subscription, cfg.Topic, err)
	}
	return nil
}

func (cfg ConsumerConfig) withDefaults() ConsumerConfig {
	if cfg.Parallel <= 0 {
		cfg.Parallel = 16
	}
	if cfg.Backoff == nil {
		cfg.Backoff = DefaultBackoff
	}
	if cfg.Grace <= 0 {
		cfg.Grace = 10 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	cfg.Log = cfg.Log.With("topic", cfg.Topic, "subscription", cfg.Subscription)
	return cfg
}

type consumer struct {
	cfg     ConsumerConfig
	handle  Handler
	todo    chan *Delivery
	working sync.WaitGroup
}

// receive takes as many messages as there are free places. Workers are begun as they are needed, and stay: a goroutine that has handled a message is warm.
func (c *consumer) receive(ctx, working context.Context, r Receiver) error {
	places := make(chan struct{}, c.cfg.Parallel)
	c.todo = make(chan *Delivery)
	defer close(c.todo)
	for {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		free := 1
		for more := true; more; {
			select {
			case places <- struct{}{}:
				free++
			default:
				more = false
			}
		}
		deliveries, err := r.Receive(ctx, free)
		if err != nil {
			return err
		}
		if c.cfg.Ignore != nil {
			deliveries = slices.DeleteFunc(deliveries, c.ignored)
		}
		for range free - len(deliveries) {
			<-places
		}
		for _, d := range deliveries {
			select {
			case c.todo <- d:
			default:
				c.working.Go(func() { c.worker(working, d, places) })
			}
		}
	}
}

// ignored completes a delivery about which there is nothing to do.
func (c *consumer) ignored(d *Delivery) bool {
	if !c.cfg.Ignore(d.Message.Envelope()) {
		return false
	}
	d.Completed()
	return true
}

// lastWord is the time for what is still to be settled when the grace is over.
const lastWord = time.Second

// worker handles a message, and then others as they come.
func (c *consumer) worker(ctx context.Context, d *Delivery, places <-chan struct{}) {
	for ok := true; ok; d, ok = <-c.todo {
		c.work(ctx, d)
		<-places
	}
}

func (c *consumer) work(ctx context.Context, d *Delivery) {
	handling, lost := context.WithCancelCause(ctx)
	k := c.keep(handling, lost, d)
	err := c.call(handling, d)
	stolen := errors.Is(context.Cause(handling), ErrLockLost)
	lost(nil)
	k.stop()
	if err == nil && c.cfg.Unconfirmed && !stolen {
		d.Completed()
		return
	}
	log := c.cfg.Log.With("message", d.Message.ID, "count", d.Count)
	var put *Retry
	switch {
	case errors.As(err, &put):
		log.Debug("message put off", "error", err) // the handler's choice
	case err != nil:
		log.Warn("message not handled", "error", err)
	}
	if stolen {
		log.Warn("lock lost while the message was handled; it comes again")
		return
	}
	// A settlement is tried as long as the lock may hold, also while the consumer stops; when the grace is over it is the last word.
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.Lock)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lastWord, cancel) })()
	if err := c.settle(settling, d, err); err != nil {
		log.Warn("delivery not settled; the message may come again", "error", err)
	}
}

// keeper renews a delivery's lock whenever a third of it has passed.
type keeper struct {
	c    *consumer
	ctx  context.Context //nolint:containedctx // of the handler
	lost context.CancelCauseFunc
	d    *Delivery

	mu    sync.Mutex // held while it renews
	ended bool
	timer *time.Timer
}

func (c *consumer) keep(ctx context.Context, lost context.CancelCauseFunc, d *Delivery) *keeper {
	k := &keeper{c: c, ctx: ctx, lost: lost, d: d}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.timer = time.AfterFunc(d.Lock/3, k.renew)
	return k
}

func (k *keeper) renew() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended || k.ctx.Err() != nil {
		return
	}
	err := k.d.Renew(k.ctx)
	if errors.Is(err, ErrLockLost) {
		k.lost(err)
		return
	}
	if err != nil && k.ctx.Err() == nil {
		k.c.cfg.Log.Warn("lock not renewed; trying again", "message", k.d.Message.ID, "error", err)
	}
	k.timer.Reset(k.d.Lock / 3)
}

// stop ends the renewing and waits for one that is under way.
func (k *keeper) stop() {
	k.timer.Stop()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = true
	k.timer.Stop()
}

// call turns a panic into an error: a poison message must not take the other messages with it.
func (c *consumer) call(ctx context.Context, d *Delivery) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &Retry{Problem{ReasonPanic, fmt.Sprint(p)}, c.cfg.Backoff(d.Count)}
		}
	}()
	return c.handle(ctx, d)
}

func (c *consumer) settle(ctx context.Context, d *Delivery, err error) error {
	var rejection *Rejection
	var retry *Retry
	switch {
	case err == nil:
		return d.Complete(ctx)
	case errors.As(err, &rejection):
		return d.DeadLetter(ctx, rejection.Problem)
	case errors.As(err, &retry):
		return d.Abandon(ctx, retry.After, retry.Problem)
	}
	return d.Abandon(ctx, c.cfg.Backoff(d.Count), Problem{ReasonFailed, err.Error()})
}
