package membroker

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/skaldhq/skald/broker"
)

// letters are the dead letters, by id and in the order in which they last changed.
type letters struct {
	byID  map[string]*letter
	order []*letter
	last  uint64
}

type letter struct {
	broker.DeadLetter
	change uint64
}

func newLetters() letters { return letters{byID: make(map[string]*letter)} }

// put stores a letter as it is now.
func (l *letters) put(d broker.DeadLetter) {
	if old := l.byID[d.ID]; old != nil {
		l.order = slices.DeleteFunc(l.order, func(other *letter) bool { return other == old })
	}
	l.last++
	n := &letter{DeadLetter: d, change: l.last}
	l.byID[d.ID] = n
	l.order = append(l.order, n)
}

// setAside makes a dead letter of an item.
func (b *Broker) setAside(s *subscription, i *item, p broker.Problem) {
	now := b.cfg.Now().UTC()
	if i.last.At.IsZero() {
		i.fail(p, now)
	}
	d := broker.DeadLetter{ID: broker.LetterID(s.topic.Name, s.Name, i.message.ID), Topic: s.topic.Name, Subscription: s.Name, Message: i.message.Clone(),
		Reason: p.Cut().Reason, Description: p.Cut().Description, Count: i.count, First: i.first, Last: i.last, At: now, State: broker.Waiting}
	if old := b.letters.byID[d.ID]; old != nil {
		d.Replays = old.Replays
	}
	b.letters.put(d)
	s.remove(i)
}

// Letters implements broker.DeadLetters.
func (b *Broker) Letters(ctx context.Context, f broker.LetterFilter) (broker.LetterPage, error) {
	after, err := f.After()
	if err != nil {
		return broker.LetterPage{}, fmt.Errorf("membroker: %w", err)
	}
	if err := b.enter(ctx); err != nil {
		return broker.LetterPage{}, err
	}
	defer b.mu.Unlock()
	var page broker.LetterPage
	full := false
	for _, l := range b.letters.order {
		if l.change <= after || !f.Match(l.DeadLetter) {
			continue
		}
		if len(page.Letters) == f.Max() {
			page.Next, full = strconv.FormatUint(after, 10), true
			break
		}
		after = l.change
		page.Letters = append(page.Letters, l.clone())
	}
	if !full {
		page.End = strconv.FormatUint(b.letters.last, 10)
	}
	return page, nil
}

func (l *letter) clone() broker.DeadLetter {
	d := l.DeadLetter
	d.Message = d.Message.Clone()
	return d
}

// Letter implements broker.DeadLetters.
func (b *Broker) Letter(ctx context.Context, id string) (broker.DeadLetter, error) {
	if err := b.enter(ctx); err != nil {
		return broker.DeadLetter{}, err
	}
	defer b.mu.Unlock()
	l, err := b.letter(id)
	if err != nil {
		return broker.DeadLetter{}, err
	}
	return l.clone(), nil
}

func (b *Broker) letter(id string) (*letter, error) {
	l, ok := b.letters.byID[id]
	if !ok {
		return nil, fmt.Errorf("membroker: letter %.80q: %w", id, broker.ErrNotFound)
	}
	return l, nil
}

// Replay implements broker.DeadLetters.
func (b *Broker) Replay(ctx context.Context, id, note string) error {
	return b.settleLetter(ctx, id, note, broker.Replayed, func(d *broker.DeadLetter) error {
		t, s, err := b.find(d.Topic, d.Subscription)
		if err != nil {
			return err
		}
		d.Replays++
		m := d.Message.Clone()
		m.Expires = time.Time{}
		t.seq++
		again := &stored{message: m, seq: t.seq, published: b.cfg.Now()}
		if !t.Kept {
			t.count(m, 1)
		}
		b.enqueue(s, again)
		b.notify()
		return nil
	})
}

// SetAside implements broker.DeadLetters.
func (b *Broker) SetAside(ctx context.Context, l broker.DeadLetter) error {
	if err := l.Message.Check(); err != nil {
		return fmt.Errorf("membroker: %w", err)
	}
	if err := b.enter(ctx); err != nil {
		return err
	}
	defer b.mu.Unlock()
	if _, _, err := b.find(l.Topic, l.Subscription); err != nil {
		return err
	}
	l.ID = broker.LetterID(l.Topic, l.Subscription, l.Message.ID)
	if b.letters.byID[l.ID] != nil {
		return nil
	}
	p := broker.Problem{Reason: l.Reason, Description: l.Description}.Cut()
	l.Message, l.Reason, l.Description = l.Message.Clone(), p.Reason, p.Description
	l.At, l.State, l.Note, l.Settled, l.Replays = b.cfg.Now().UTC(), broker.Waiting, "", time.Time{}, 0
	b.letters.put(l)
	return nil
}

// Remedy implements broker.DeadLetters.
func (b *Broker) Remedy(ctx context.Context, id, note string) error {
	return b.settleLetter(ctx, id, note, broker.Remedied, func(*broker.DeadLetter) error { return nil })
}

// Discard implements broker.DeadLetters.
func (b *Broker) Discard(ctx context.Context, id, note string) error {
	return b.settleLetter(ctx, id, note, broker.Discarded, func(*broker.DeadLetter) error { return nil })
}

func (b *Broker) settleLetter(ctx context.Context, id, note string, to broker.LetterState, settle func(*broker.DeadLetter) error) error {
	note, err := broker.CheckNote(note)
	if err != nil {
		return fmt.Errorf("membroker: %w", err)
	}
	if err := b.enter(ctx); err != nil {
		return err
	}
	defer b.mu.Unlock()
	l, err := b.letter(id)
	if err != nil {
		return err
	}
	if l.State != broker.Waiting {
		if l.State == to {
			return nil
		}
		return fmt.Errorf("membroker: letter %s was %s: %w", id, l.State, broker.ErrSettled)
	}
	d := l.clone()
	if err := settle(&d); err != nil {
		return err
	}
	d.State, d.Note, d.Settled = to, note, b.cfg.Now().UTC()
	b.letters.put(d)
	return nil
}
