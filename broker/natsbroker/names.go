package natsbroker

import (
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/skaldhq/skald/broker"
)

// Sizes that servers must allow.
const (
	maxPayload = broker.MaxData + 2*broker.MaxHeaders
	ownPayload = 4 << 20 // what the server inside the process allows
)

// names gives everything on the server its name. In namespace skald:
//
//	stream skald-<topic>              a topic; its consumers are named as the subscriptions
//	  skald.t.<topic>.m.<key>         messages
//	  skald.t.<topic>.r.<sub>.<key>   replays, for one subscription
//	stream skald_dead                 skald.dead.<letter id>: the latest state of each dead letter
//	stream skald_notes                skald.notes.<topic>.<sub>.<sequence>: failures so far; skald.notes.probe
//	stream skald_delayed              skald.delayed.<topic>: delayed messages
//	skald.hint.<topic>                no stream: a session's message was settled
//
// Topics have no underscore in their names, so their streams never meet the others. The slashes of a key are dots on the server, and its dots are commas.
type names struct{ namespace string }

func (n names) stream(topic string) string { return n.namespace + "-" + topic }
func (n names) dead() string               { return n.namespace + "_dead" }
func (n names) notes() string              { return n.namespace + "_notes" }
func (n names) delayed() string            { return n.namespace + "_delayed" }

func (n names) letter(id string) string      { return n.namespace + ".dead." + id }
func (n names) note(name string) string      { return n.namespace + ".notes." + name }
func (n names) delay(topic string) string    { return n.namespace + ".delayed." + topic }
func (n names) hint(topic string) string     { return n.namespace + ".hint." + topic }
func (n names) topic(topic string) string    { return n.namespace + ".t." + topic + "." }
func (n names) messages(topic string) string { return n.topic(topic) + "m." }
func (n names) replays(topic, subscription string) string {
	return n.topic(topic) + "r." + subscription + "."
}

func (n names) noteOf(topic, subscription string, seq uint64) string {
	return n.note(topic + "." + subscription + "." + strconv.FormatUint(seq, 10))
}

var (
	encodeKey    = strings.NewReplacer("/", ".", ".", ",")
	decodeKey    = strings.NewReplacer(".", "/", ",", ".")
	encodeFilter = strings.NewReplacer("**", ">", "/", ".", ".", ",")
	decodeFilter = strings.NewReplacer(">", "**", ".", "/", ",", ".")
)

func (n names) message(topic string, k broker.Key) string {
	return n.messages(topic) + encodeKey.Replace(string(k))
}

func (n names) replay(topic, subscription string, k broker.Key) string {
	return n.replays(topic, subscription) + encodeKey.Replace(string(k))
}

// filters are the subjects that a subscription consumes; none means all of the topic's: it then also gets the replays for other subscriptions, which are passed over.
func (n names) filters(topic string, s broker.Subscription) []string {
	if slices.Equal(s.Filters, []broker.Filter{"**"}) {
		return nil
	}
	var subjects []string
	for _, f := range s.Filters {
		subjects = append(subjects, n.messages(topic)+encodeFilter.Replace(string(f)))
	}
	if !s.Sessions { // with sessions there is no other subscription, so replays go to the topic itself
		subjects = append(subjects, n.replays(topic, s.Name)+">")
	}
	return subjects
}

// selected are the filters of a subscription that exists.
func (n names) selected(topic string, cfg jetstream.ConsumerConfig) []broker.Filter {
	subjects := cfg.FilterSubjects
	if cfg.FilterSubject != "" {
		subjects = []string{cfg.FilterSubject}
	}
	var all []broker.Filter
	for _, subject := range subjects {
		if f, ok := strings.CutPrefix(subject, n.messages(topic)); ok { // else it is that of replays
			all = append(all, broker.Filter(decodeFilter.Replace(f)))
		}
	}
	if len(all) == 0 {
		return []broker.Filter{"**"}
	}
	return all
}

// foreign says whether a subject is that of a replay for another subscription.
func (n names) foreign(topic, subscription, subject string) bool {
	return strings.HasPrefix(subject, n.topic(topic)+"r.") && !strings.HasPrefix(subject, n.replays(topic, subscription))
}

// key returns the key that a subject stands for.
func (n names) key(topic, subject string) broker.Key {
	rest := strings.TrimPrefix(subject, n.topic(topic))
	if after, ok := strings.CutPrefix(rest, "m."); ok {
		return broker.Key(decodeKey.Replace(after))
	}
	_, after, _ := strings.Cut(strings.TrimPrefix(rest, "r."), ".") // without the subscription
	return broker.Key(decodeKey.Replace(after))
}
