package membroker

import "math/rand/v2"

// Fault is something that can go wrong between a program and a real broker. All but Reorder within a session are allowed by the contract.
type Fault uint8

// The faults. Each is asked for where it could happen, and happens if Chance says so.
const (
	// Duplicate stores a message twice for a subscription, as if it had been published again after its id was forgotten.
	Duplicate Fault = iota + 1
	// Reorder hands out another message than the first one. It never happens within a session.
	Reorder
	// Delay withholds a new message from a subscription for a while, up to Config.MaxDelay.
	Delay
	// LostAck loses a settlement on its way: nothing happens, and the caller sees an error.
	LostAck
	// LostAckReply loses the answer to a settlement: it took effect, and the caller sees an error.
	LostAckReply
	// EarlyExpiry ends a lock although its holder is still at work: somebody else gets the message.
	EarlyExpiry
	// LateAck takes a settlement whose lock was lost, as JetStream does; otherwise it gets ErrLockLost.
	LateAck
	// ForgottenID forgets that an id was published a moment ago.
	ForgottenID
	// LostPublish loses a message on its way: nothing happens, and the caller sees an error.
	LostPublish
	// LostPublishReply loses the answer to Publish or Decide: it took effect, and the caller sees an error.
	LostPublishReply

	faults = int(LostPublishReply) + 1
)

// String is the fault's name in reports.
func (f Fault) String() string {
	names := [faults]string{"none", "duplicate", "reorder", "delay", "lost ack", "lost ack reply", "early expiry", "late ack", "forgotten id", "lost publish", "lost publish reply"}
	if int(f) >= faults {
		return "unknown fault"
	}
	return names[f]
}

// Faults are all faults, for reports.
func Faults() []Fault {
	return []Fault{Duplicate, Reorder, Delay, LostAck, LostAckReply, EarlyExpiry, LateAck, ForgottenID, LostPublish, LostPublishReply}
}

// Chance decides what goes wrong. The broker calls it under its lock, in the order of its calls: a single-threaded program that makes the same calls
// asks it the same questions. An exhaustive search can answer them one way after the other.
type Chance interface {
	// Happens says whether the fault happens now.
	Happens(f Fault) bool
	// Pick returns a number from 0 to n-1; n is at least 1.
	Pick(n int) int
}

// Seeded returns a Chance in which each fault happens with its rate, from 0 to 1. The same seed gives the same answers. It is for one broker.
func Seeded(seed uint64, rates map[Fault]float64) Chance {
	s := seeded{random: rand.New(rand.NewPCG(seed, seed))}
	for f, rate := range rates {
		s.rates[f] = rate
	}
	return &s
}

type seeded struct {
	random *rand.Rand
	rates  [faults]float64
}

func (s *seeded) Happens(f Fault) bool {
	// A fault that is switched off takes no number, so that switching one off leaves the others as they were as far as possible.
	return s.rates[f] > 0 && s.random.Float64() < s.rates[f]
}

func (s *seeded) Pick(n int) int { return s.random.IntN(n) }
