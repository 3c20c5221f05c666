package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skaldhq/skald/broker"
)

// attempt bounds one attempt at something that is tried again.
const attempt = 3 * time.Second

// Codes of the server's API that the client has no name for.
const (
	codeAccountFull  jetstream.ErrorCode = 10002
	codeNoPeers      jetstream.ErrorCode = 10005
	codeUnavailable  jetstream.ErrorCode = 10008
	codeNotLeader    jetstream.ErrorCode = 10009
	codeInsufficient jetstream.ErrorCode = 10023
	codeMemoryFull   jetstream.ErrorCode = 10028
	codeStorageFull  jetstream.ErrorCode = 10047
	codeStoreFailed  jetstream.ErrorCode = 10077
	codeOffline      jetstream.ErrorCode = 10118
)

// retry calls f until it succeeds, fails for good, or the context ends; repeating it must be harmless. Leaders change and connections break; that is
// nobody else's business as long as there is time.
func (b *Broker) retry(ctx context.Context, f func(context.Context) error) error {
	_, err := b.retryKnowing(ctx, f)
	return err
}

// retryKnowing also says whether, before the last attempt, there was one that may have taken effect.
func (b *Broker) retryKnowing(ctx context.Context, f func(context.Context) error) (unknown bool, err error) {
	pause, began, silent := 20*time.Millisecond, time.Now(), true
	for {
		trying, cancel := context.WithTimeout(ctx, attempt)
		err := f(trying)
		cancel()
		switch {
		case err == nil:
			return unknown, nil
		case ctx.Err() != nil:
			return true, fmt.Errorf("%w (%w)", ctx.Err(), err)
		case !transient(err):
			return unknown, err
		case b.closing.Err() != nil:
			return true, fmt.Errorf("the broker was closed meanwhile: %w", err)
		}
		if silent && time.Since(began) > 2*attempt { // somebody may wait in front of it
			silent = false
			b.log.Warn("the broker's server cannot do it yet; trying again", "error", err)
		}
		unknown = unknown || !unsent(err)
		b.suspect()
		if full := b.room(); full != nil {
			return unknown, full
		}
		select {
		case <-ctx.Done():
		case <-b.closing.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, time.Second)
	}
}

// unsent says whether an error means that nothing took effect.
func unsent(err error) bool {
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrReconnectBufExceeded)
}

// transient says whether a repetition may do better.
func transient(err error) bool {
	if unsent(err) {
		return true
	}
	for _, known := range []error{context.DeadlineExceeded, nats.ErrTimeout, nats.ErrDisconnected, nats.ErrConnectionReconnecting, nats.ErrStaleConnection, jetstream.ErrJetStreamNotEnabled, jetstream.ErrJetStreamNotEnabledForAccount, errNotSynced} {
		if errors.Is(err, known) {
			return true
		}
	}
	switch codeOf(err) {
	case codeUnavailable, codeNotLeader, codeOffline:
		return true
	case codeNoPeers: // for the replicas of a new stream: a server of the cluster is away for a moment, or there are too few of them
		return strings.Contains(err.Error(), "offline")
	}
	return false
}

func codeOf(err error) jetstream.ErrorCode {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.ErrorCode
	}
	return 0
}

// away is what the client says while it has no connection, in words: to it a buffer is full, which is never used.
type away struct{ error }

func (a away) Error() string {
	return "the server cannot be reached; connecting to it goes on by itself"
}
func (a away) Unwrap() error { return a.error }

// explain gives an error of the server the contract's meaning.
func (b *Broker) explain(err error) error {
	if errors.Is(err, nats.ErrReconnectBufExceeded) {
		return away{err}
	}
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return err
	}
	full := false
	switch api.ErrorCode {
	case codeAccountFull, codeInsufficient, codeMemoryFull, codeStorageFull:
		full = true
	case codeStoreFailed:
		full = strings.Contains(api.Description, "maximum") || strings.Contains(api.Description, "no space left")
	}
	if full {
		return fmt.Errorf("%w: %w", broker.ErrFull, err)
	}
	return err
}
