package skald_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
)

var update = flag.Bool("update", false, "write golden files anew")

type trip struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type booking struct {
	Code string `json:"code"`
}

var (
	bookHotel   = skald.Compensatable[trip, booking]("hotel.book", "hotel.cancel", skald.Emits("HotelBooked", "HotelFull"))
	bookFlight  = skald.Compensatable[trip, booking]("flight.book", "flight.cancel", skald.Emits("FlightBooked", "FlightFull"), skald.Reasons("FlightFull.NoSeat"))
	checkVisa   = skald.ReadOnly[trip, booking]("visa.check")
	pay         = skald.Pivot[booking, booking]("bank.pay", skald.Emits("Paid", "NotPaid"))
	payTwice    = skald.Pivot[booking, booking]("bank.settle")
	sendTickets = skald.Retriable[booking, booking]("mail.send")
)

func self(t trip) trip                              { return t }
func both(_ trip, a, _ booking) booking             { return a }
func again(t trip, _ booking) trip                  { return t }
func noBooking(trip) booking                        { return booking{} }
func all(_ trip, a, _, _ booking) booking           { return a }
func everything(_ trip, a, _, _, _ booking) booking { return a }

func bookTrip(opts ...skald.DefinitionOption) (*skald.Saga[trip], error) {
	s := skald.Define[trip]("trip", append([]skald.DefinitionOption{skald.Deadline(time.Minute)}, opts...)...)
	visa := skald.Step(s, checkVisa, skald.From(self))
	hotel := skald.Step(s, bookHotel, skald.From1(visa, again))
	flight := skald.Step(s, bookFlight, skald.From(self), skald.After(visa), skald.Deadline(20*time.Second))
	paid := skald.Step(s, pay, skald.From2(hotel, flight, both))
	skald.Step(s, sendTickets, skald.From3(paid, hotel, flight, all))
	skald.Step(s, sendTickets, skald.From4(paid, hotel, flight, visa, everything), skald.Named("mail.copy"), skald.After(paid))
	return s.Build()
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got), go test -update writes it anew:\n%s", path, diff)
	}
}

func TestDefinitionExports(t *testing.T) {
	s, err := bookTrip()
	if err != nil {
		t.Fatal(err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, s.Canonical(), "", "  "); err != nil {
		t.Fatal(err)
	}
	golden(t, "trip.json", append(pretty.Bytes(), '\n'))
	golden(t, "trip.flow.mmd", []byte(s.Flow()))
	golden(t, "trip.sequence.mmd", []byte(s.Sequence()))
}

func TestVersionFollowsTheDefinitionAndNothingElse(t *testing.T) {
	version := func(opts ...skald.DefinitionOption) string {
		s, err := bookTrip(opts...)
		if err != nil {
			t.Fatal(err)
		}
		return s.Version()
	}
	same := version()
	if version() != same {
		t.Error("building it twice gives two versions")
	}
	for name, changed := range map[string]string{
		"revision": version(skald.Revision("2")), "deadline": version(skald.Deadline(2 * time.Minute)),
		"durability": version(skald.Strict()), "incidents": version(skald.IncidentAfter(time.Minute)),
	} {
		if changed == same {
			t.Errorf("another %s gives the same version", name)
		}
	}
}

func TestEveryFaultIsReportedWithItsStepAndMend(t *testing.T) {
	foreign := skald.Define[trip]("other")
	stranger := skald.Step(foreign, bookHotel, skald.From(self))
	tests := []struct {
		name  string
		write func(s *skald.Definition[trip])
		opts  []skald.DefinitionOption
		want  []string
	}{
		{name: "no steps", write: func(*skald.Definition[trip]) {}, want: []string{"it has no steps"}},
		{name: "doubled name", write: func(s *skald.Definition[trip]) {
			skald.Step(s, bookHotel, skald.From(self))
			skald.Step(s, bookHotel, skald.From(self))
		}, want: []string{"step hotel.book: another step has the same name"}},
		{name: "result of another definition", write: func(s *skald.Definition[trip]) {
			skald.Step(s, bookHotel, skald.From1(stranger, again))
		}, want: []string{`step hotel.book: it uses the result "hotel.book", which belongs to no step before it`}},
		{name: "result that was never made", write: func(s *skald.Definition[trip]) {
			skald.Step(s, bookHotel, skald.From1(skald.Result[booking]{}, again))
		}, want: []string{`step hotel.book: it uses the result ""`}},
		{name: "missing compensation before the pivot", write: func(s *skald.Definition[trip]) {
			skald.Step(s, sendTickets, skald.From(noBooking))
			skald.Step(s, pay, skald.From(noBooking))
		}, want: []string{"step mail.send: it has no compensation"}},
		{name: "compensatable and readonly after the pivot", write: func(s *skald.Definition[trip]) {
			skald.Step(s, pay, skald.From(noBooking))
			skald.Step(s, bookHotel, skald.From(self))
			skald.Step(s, checkVisa, skald.From(self))
		}, want: []string{"step hotel.book: it is compensatable and stands after the pivot bank.pay", "step visa.check: it is readonly and stands after"}},
		{name: "two pivots", write: func(s *skald.Definition[trip]) {
			skald.Step(s, pay, skald.From(noBooking))
			skald.Step(s, payTwice, skald.From(noBooking))
		}, want: []string{"step bank.settle: it is a second pivot beside bank.pay"}},
		{name: "pivot beside compensatable steps", write: func(s *skald.Definition[trip]) {
			skald.Step(s, pay, skald.From(noBooking))
			skald.Step(s, bookHotel, skald.From(self), skald.After())
		}, want: []string{"step hotel.book: it runs beside the pivot bank.pay"}},
		{name: "join without a deadline", write: func(s *skald.Definition[trip]) {
			a := skald.Step(s, bookHotel, skald.From(self))
			b := skald.Step(s, bookFlight, skald.From(self), skald.After())
			skald.Step(s, pay, skald.From2(a, b, both))
		}, want: []string{"step bank.pay: it joins 2 branches without a deadline"}},
		{name: "unbounded retriable chain in silence", opts: []skald.DefinitionOption{skald.IncidentAfter(-1)}, write: func(s *skald.Definition[trip]) {
			skald.Step(s, pay, skald.From(noBooking), skald.Deadline(time.Minute))
			skald.Step(s, sendTickets, skald.From(noBooking))
		}, want: []string{"step mail.send: it is asked again without end"}},
		{name: "one event for two payloads", write: func(s *skald.Definition[trip]) {
			skald.Step(s, skald.Compensatable[trip, booking]("a.do", "a.undo", skald.Emits("Booked", "")), skald.From(self))
			skald.Step(s, skald.Compensatable[trip, trip]("b.do", "b.undo", skald.Emits("Booked", "")), skald.From(self))
		}, want: []string{"step b.do: event Booked carries {from:string,to:string} here and {code:string} at step a.do"}},
		{name: "limited attempts where nothing turns back", write: func(s *skald.Definition[trip]) {
			skald.Step(s, pay, skald.From(noBooking), skald.Retries(skald.Retry{Attempts: 3}))
		}, want: []string{"step bank.pay: it is pivot and limits its attempts to 3"}},
		{name: "policies that make no sense", write: func(s *skald.Definition[trip]) {
			skald.Step(s, bookHotel, skald.From(self), skald.Retries(skald.Retry{Cap: time.Hour}), skald.CompensationRetries(skald.Retry{Factor: 0.5}))
			skald.Step(s, bookFlight, skald.From(self), skald.Timeout(time.Minute), skald.Deadline(time.Second))
		}, want: []string{"its retry policy pauses up to 1h0m0s", "its compensation's retry policy has factor 0.5", "one call may take 1m0s but the whole step only 1s"}},
		{name: "names", write: func(s *skald.Definition[trip]) {
			skald.Step(s, skald.Compensatable[trip, trip]("hôtel", "hôtel"), skald.From(self))
		}, want: []string{"its name cannot be used", "its operation's name cannot be used"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := skald.Define[trip]("trip", tt.opts...)
			tt.write(s)
			_, err := s.Build()
			var faults *skald.Faults
			if !errors.As(err, &faults) {
				t.Fatalf("error %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in %v", want, err)
				}
			}
			for _, f := range faults.List {
				if f.Mend == "" || f.Problem == "" {
					t.Errorf("fault without problem or mend: %+v", f)
				}
			}
		})
	}
}

func TestAllFaultsComeAtOnce(t *testing.T) {
	s := skald.Define[trip]("")
	skald.Step(s, pay, skald.From(noBooking))
	skald.Step(s, payTwice, skald.From(noBooking))
	skald.Step(s, bookHotel, skald.From(self))
	_, err := s.Build()
	var faults *skald.Faults
	if !errors.As(err, &faults) || len(faults.List) != 3 {
		t.Fatalf("faults: %v", err)
	}
	var f skald.Fault
	if !errors.As(err, &f) {
		t.Error("single faults cannot be reached with errors.As")
	}
}
