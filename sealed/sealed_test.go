package sealed_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/membroker"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
	"github.com/skaldhq/skald/sealed"
	"github.com/skaldhq/skald/store/memstore"
)

func ring(t testing.TB, current string, ids ...string) *sealed.Ring {
	t.Helper()
	keys := map[string][]byte{}
	for _, id := range append(ids, current) {
		keys[id] = bytes.Repeat([]byte(id)[:1], 32)
	}
	r, err := sealed.New(current, keys)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWhatIsSealedOpensToTheSameValue(t *testing.T) {
	r := ring(t, "a")
	value := rapid.Custom(func(t *rapid.T) string {
		return rapid.SampledFrom([]string{`1.50`, `"text"`, `null`, `true`, `[1,{"x":"y"}]`, `{"deep":{"er":[null]}}`, `""`, `"skald.sealed"`, `123456789012345678901234567890`}).Draw(t, "value")
	})
	rapid.Check(t, func(t *rapid.T) {
		payload := value.Draw(t, "whole")
		if rapid.Bool().Draw(t, "object") {
			payload = fmt.Sprintf(`{"a":%s,"b":%s}`, value.Draw(t, "a"), value.Draw(t, "b"))
		}
		text, err := r.Seal("s-1", []byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		again, err := r.Seal("s-1", []byte(payload))
		if err != nil || !bytes.Equal(text, again) {
			t.Fatalf("sealed again it is another text: %s, %s, %v", text, again, err)
		}
		if twice, err := r.Seal("s-1", text); err != nil || !bytes.Equal(twice, text) {
			t.Fatalf("what is sealed is sealed once more: %s, %v", twice, err)
		}
		// A mapping puts it elsewhere, in an object and in a list.
		opened, err := r.Open("s-1", []byte(`{"in":[`+string(text)+`]}`))
		if want := `{"in":[` + payload + `]}`; err != nil || string(opened) != want {
			t.Fatalf("%s opens to %s, %v", text, opened, err)
		}
	})
}

func TestWhatWasSealedOtherwiseDoesNotOpen(t *testing.T) {
	r := ring(t, "a", "b")
	text, err := r.Seal("s-1", []byte(`"secret"`))
	if err != nil {
		t.Fatal(err)
	}
	var x map[string]string
	if err := json.Unmarshal(text, &x); err != nil || len(x) != 1 {
		t.Fatal(string(text))
	}
	value := x["skald.sealed"]
	other, err := r.Seal("s-1", []byte(`"another"`))
	if err != nil || bytes.Equal(other, text) {
		t.Fatal(err)
	}
	wrap := func(v string) []byte { return []byte(`{"skald.sealed":"` + v + `"}`) }
	for name, c := range map[string]struct {
		ring    *sealed.Ring
		saga    journal.SagaID
		payload []byte
		want    error
	}{
		"another saga": {r, "s-2", text, sealed.ErrOpen}, "another key of the same id": {ring(t, "a-other", "x"), "s-1", wrap(strings.Replace(value, "1.a.", "1.x.", 1)), sealed.ErrOpen},
		"an unknown key": {ring(t, "c"), "s-1", text, sealed.ErrKey}, "another key's id": {r, "s-1", wrap(strings.Replace(value, "1.a.", "1.b.", 1)), sealed.ErrOpen},
		"another form": {r, "s-1", wrap("2" + value[1:]), sealed.ErrOpen}, "cut off": {r, "s-1", wrap(value[:len(value)-4]), sealed.ErrOpen}, "nothing": {r, "s-1", wrap(""), sealed.ErrOpen},
		"short": {r, "s-1", wrap("1.a.AAAA"), sealed.ErrOpen}, "changed": {r, "s-1", wrap(value[:30] + string(value[30]^1) + value[31:]), sealed.ErrOpen},
	} {
		if opened, err := c.ring.Open(c.saga, c.payload); !errors.Is(err, c.want) || opened != nil {
			t.Errorf("%s: %s, %v", name, opened, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error says it: %v", name, err)
		}
	}
}

func TestKeysAreRotated(t *testing.T) {
	before := ring(t, "a")
	old, err := before.Seal("s-1", []byte(`"x"`))
	if err != nil {
		t.Fatal(err)
	}
	after := ring(t, "b", "a")
	fresh, err := after.Seal("s-1", []byte(`"x"`))
	if err != nil || !bytes.Contains(fresh, []byte("1.b.")) {
		t.Fatal(string(fresh), err)
	}
	for _, text := range [][]byte{old, fresh} {
		if opened, err := after.Open("s-1", text); err != nil || string(opened) != `"x"` {
			t.Errorf("%s: %s, %v", text, opened, err)
		}
	}
}

func TestAKeyFileIsReadOrSaysItsFaults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.json")
	good := "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	for text, says := range map[string]string{
		`{"current":"a","keys":{"a":"` + good + `"}}`:                "",
		`{"current":"b","keys":{"a":"` + good + `"}}`:                "not among the keys",
		`{"current":"a","keys":{"a":"c2hvcnQ="}}`:                    "5 bytes",
		`{"current":"a b","keys":{"a b":"` + good + `"}}`:            "key id",
		`{"current":"a","keys":{"a":"` + good[:20] + `not base64"}}`: "no key file",
		`{}`: "not among the keys",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := sealed.Read(file)
		if says == "" && (err != nil || r == nil) || says != "" && (err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), good[:20])) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// secret is in every payload and in all words.
const secret = "Geheim-4711"

type (
	order struct {
		Card  json.RawMessage `json:"card"` // passed on as it is
		Extra json.RawMessage `json:"extra"`
	}
	charge struct {
		Card string `json:"card"`
	}
	chargeSealed struct {
		Card json.RawMessage `json:"card"`
	}
	receipt struct {
		Text string `json:"text"`
	}
)

// seen is what the handlers saw.
type seen struct {
	mu  sync.Mutex
	all []string
}

func (s *seen) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, fmt.Sprintf(format, args...))
}

func (s *seen) sofar() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

// shop is a saga whose mappings pass members on, and a participant that charges and is then refused.
func shop(t *testing.T, r *sealed.Ring, heard *seen) (*skald.Saga[order], *sqlparticipant.Participant) {
	t.Helper()
	hold := skald.Compensatable[chargeSealed, json.RawMessage]("pay.hold", "pay.free")
	take := skald.Pivot[json.RawMessage, json.RawMessage]("pay.take", skald.Reasons("Pay.Declined"))
	s := skald.Define[order]("purchase")
	held := skald.Step(s, hold, skald.From(func(o order) chargeSealed { return chargeSealed{o.Card} }))
	skald.Step(s, take, skald.From1(held, func(_ order, x json.RawMessage) json.RawMessage { return x }))
	saga, err := s.Build()
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqlparticipant.OpenSQLite(filepath.Join(t.TempDir(), "pay.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	plainHold := skald.Compensatable[charge, receipt]("pay.hold", "pay.free")
	plainTake := skald.Pivot[receipt, receipt]("pay.take", skald.Reasons("Pay.Declined"))
	p, err := sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "pay", Log: slog.New(slog.DiscardHandler)}, r.Handlers(
		skald.HandleCompensatable(plainHold,
			func(_ context.Context, _ participant.Tx, c charge) (receipt, error) {
				heard.note("hold %s", c.Card)
				return receipt{"held " + c.Card}, nil
			},
			func(_ context.Context, _ participant.Tx, c charge, x receipt) error {
				heard.note("free %s (%s)", c.Card, x.Text)
				return nil
			}),
		skald.Handle(plainTake, func(_ context.Context, _ participant.Tx, x receipt) (receipt, error) {
			heard.note("take %s", x.Text)
			return receipt{}, skald.Refuse("Pay.Declined", "the card %s is stolen", secret)
		}))...)
	if err != nil {
		t.Fatal(err)
	}
	return saga, p
}

// tapped keeps all that goes over a broker.
type tapped struct {
	*membroker.Broker
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *tapped) Decide(ctx context.Context, topic string, m broker.Message) (broker.Decision, error) {
	b.mu.Lock()
	fmt.Fprintf(&b.all, "%+v %s\n", m, m.Data)
	b.mu.Unlock()
	return b.Broker.Decide(ctx, topic, m)
}

// said is all that has gone over it so far.
func (b *tapped) said() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.all.Bytes())
}

// Only the client and the participant see what the saga is about, in both modes: not the journal, nor the broker.
func TestNobodyInTheMiddleSeesAPayload(t *testing.T) {
	for _, mode := range []skald.Mode{skald.Orchestrated, skald.Choreographed} {
		t.Run(string(mode), func(t *testing.T) {
			r := ring(t, "a")
			heard := &seen{}
			saga, pay := shop(t, r, heard)
			wire := &tapped{Broker: membroker.New(membroker.Config{})}
			c := skald.Config{Store: memstore.New(), Sagas: []skald.Registered{saga}, Mode: mode, Participants: map[string]skald.Participant{"pay": {Invoker: pay, Level: participant.L2}}}
			if mode == skald.Choreographed {
				c.Broker = wire
			}
			engine, err := skald.Open(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			defer func() {
				if err := engine.Stop(context.WithoutCancel(ctx)); err != nil {
					t.Error(err)
				}
			}()
			client := r.Client(engine)
			input := order{Card: json.RawMessage(`"` + secret + `"`), Extra: json.RawMessage(`{"note":"` + secret + `"}`)}
			for again := range 2 {
				run, err := saga.Start(ctx, client, input, skald.WithID("p-1"))
				if err != nil || run.Existed != (again == 1) {
					t.Fatal(run, err)
				}
			}
			s, err := client.Wait(ctx, "p-1")
			if err != nil || s.State != skald.Compensated {
				t.Fatal(s.State, err)
			}
			saw := slices.Compact(heard.sofar()) // the second start may have it begin once more, in a transaction that comes to nothing
			if want := []string{"hold " + secret, "take held " + secret, "free " + secret + " (held " + secret + ")"}; fmt.Sprint(saw) != fmt.Sprint(want) {
				t.Errorf("the participant saw %q", saw)
			}
			if !strings.Contains(string(s.Input), secret) || !strings.Contains(string(s.Step("pay.hold").Result), secret) || s.Step("pay.take").Detail != "the card "+secret+" is stolen" || s.Reason != "Pay.Declined" {
				t.Errorf("the client sees %+v", s)
			}
			if _, err := engine.Status(ctx, "p-1"); err != nil { // what is told is in the store once it was read
				t.Fatal(err)
			}
			_, records, err := c.Store.Journal(ctx, "p-1")
			if err != nil || len(records) == 0 {
				t.Fatal(err)
			}
			said := wire.said()
			if bytes.Contains(records, []byte(secret)) || bytes.Contains(said, []byte(secret)) || mode == skald.Choreographed && len(said) == 0 {
				t.Errorf("somebody in the middle sees it:\n%s\n%s", records, said)
			}
		})
	}
}
