package node_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/examples/drone/bus"
	"github.com/skaldhq/skald/examples/drone/contract/command"
	"github.com/skaldhq/skald/examples/drone/contract/parcel"
	"github.com/skaldhq/skald/examples/drone/node"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/sidecar"
	"github.com/skaldhq/skald/store/memstore"
)

// alone starts the service without anything around it.
func alone(t *testing.T, folder string) *node.Process {
	t.Helper()
	needNode(t)
	p, err := node.StartProcess(t.Context(), "", folder, "", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// caller calls a service as a sidecar does.
type caller struct {
	t *testing.T
	participant.Invoker
}

func newCaller(t *testing.T, url string) caller {
	t.Helper()
	out := httpparticipant.NewEgress(httpparticipant.EgressConfig{})
	t.Cleanup(out.Close)
	c, err := httpparticipant.New(httpparticipant.Config{BaseURL: url, Level: participant.L1, Egress: out})
	if err != nil {
		t.Fatal(err)
	}
	return caller{t, c}
}

func (c caller) want(call participant.Call, class participant.Class, what string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	a := c.Invoke(ctx, call)
	if a.Class != class || !strings.Contains(string(a.Result)+a.Reason+a.Detail, what) {
		c.t.Errorf("%s is answered %s %s %s (%s), want %s %s", call.Key(), a.Class, a.Result, a.Reason, a.Detail, class, what)
	}
}

func upsert(saga, id, size, weight string) participant.Call {
	input := `{"delivery":"` + saga + `","package":"` + id + `","size":"` + size + `","weight_kg":` + weight + `,"tag":"x"}`
	return participant.Call{Saga: skald.SagaID(saga), Step: "package.upsert", Phase: participant.Action, Operation: "package.upsert", Attempt: 1, Input: []byte(input)}
}

func withdraw(saga string) participant.Call {
	return participant.Call{Saga: skald.SagaID(saga), Step: "package.upsert", Phase: participant.Compensation, Operation: parcel.Withdraw, Attempt: 1}
}

// get reads one of the service's pages.
func get(t *testing.T, url string, status int) string {
	t.Helper()
	return want(t, http.MethodGet, url, "", status)
}

// want makes a request that has to be answered with this status.
func want(t *testing.T, method, url, body string, status int) string {
	t.Helper()
	text, got := request(t, method, url, body)
	if got != status {
		t.Errorf("%s %s is %d %s, want %d", method, url, got, text, status)
	}
	return text
}

func request(t *testing.T, method, url, body string) (text string, status int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	c := http.Client{Timeout: patience}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	read, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(read), res.StatusCode
}

func TestTheServiceKeepsToTheContract(t *testing.T) {
	folder := t.TempDir()
	p := alone(t, folder)
	c := newCaller(t, p.URL())
	c.want(upsert("d-1", "p-1", "Small", "1"), participant.Done, `"created":true`)
	c.want(upsert("d-2", "p-1", "Medium", "3"), participant.Done, `"created":false`)
	c.want(upsert("d-1", "p-1", "Large", "9"), participant.Refused, participant.ReasonConflict)
	c.want(upsert("d-3", "p-3", "Small", "3"), participant.Refused, parcel.ReasonTooHeavy)
	c.want(upsert("d-4", "p-3", "Huge", "3"), participant.Refused, parcel.ReasonUnknownSize)
	c.want(upsert("d-5", "p-3", "Small", "0"), participant.Refused, parcel.ReasonWeight)
	c.want(upsert("d-7", "p-3", "constructor", "3"), participant.Refused, parcel.ReasonUnknownSize)
	c.want(upsert("d-8", "p-3", "Small", `"1"`), participant.Refused, parcel.ReasonWeight)
	c.want(withdraw("d-3"), participant.Done, "null")
	c.want(withdraw("d-6"), participant.Done, "null")
	c.want(upsert("d-6", "p-6", "Small", "1"), participant.Refused, participant.ReasonCompensated)
	c.want(withdraw("d-2"), participant.Done, "null")
	decided := func(operation, input string) participant.Call {
		return participant.Call{Saga: "d-1", Step: "command." + operation, Phase: participant.Action, Operation: operation, Attempt: 1, Input: []byte(input)}
	}
	c.want(decided("package.reschedule", `{"delivery":"d-1","pickup_time":"2026-11-21T12:00:00Z","deadline":"2026-11-21T12:30:00Z","by":"delivery"}`), participant.Done, "{}")
	c.want(decided("package.cancel", `{"delivery":"d-1","by":"delivery","reason":"x"}`), participant.Done, "{}")
	want(t, http.MethodPost, p.URL()+"/operations/package.upsert", "{}", http.StatusUnsupportedMediaType)
	want(t, http.MethodPost, p.URL()+"/operations/constructor", "{}", http.StatusNotFound)
	known := `{"id":"p-1","size":"Small","weight":1,"tag":"x","deliveries":[{"delivery":"d-1","state":"held","cancelled":true,"pickupTime":"2026-11-21T12:00:00Z","deadline":"2026-11-21T12:30:00Z"},{"delivery":"d-2","state":"withdrawn"}]}`
	p.Kill()
	p = alone(t, folder) // and what it knew before it was killed it still knows
	if diff := cmp.Diff(known, get(t, p.URL()+"/api/packages/p-1", http.StatusOK)); diff != "" {
		t.Errorf("the package (-want +got):\n%s", diff)
	}
	c = newCaller(t, p.URL())
	c.want(upsert("d-1", "p-1", "Small", "1"), participant.Done, `"created":true`)
	c.want(upsert("d-4", "p-3", "Huge", "3"), participant.Refused, parcel.ReasonUnknownSize)
	c.want(withdraw("d-1"), participant.Done, "null")
	c.want(withdraw("d-1"), participant.Done, "null")
	c.want(upsert("d-1", "p-1", "Small", "1"), participant.Refused, participant.ReasonCompensated)
	if got := book(t, folder); len(got) != 13 {
		t.Errorf("the book has %d entries, want 13", len(got))
	}
}

// A line that was cut off by a crash was told to nobody.
func TestALineThatWasCutOffIsTakenAway(t *testing.T) {
	folder := t.TempDir()
	p := alone(t, folder)
	newCaller(t, p.URL()).want(upsert("d-1", "p-1", "Small", "1"), participant.Done, "")
	p.Kill()
	f, err := os.OpenFile(filepath.Join(folder, "package.jsonl"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(`{"key":"d-2/package.upsert/action","operation":"package.up`)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	p = alone(t, folder)
	newCaller(t, p.URL()).want(upsert("d-2", "p-2", "Small", "1"), participant.Done, `"created":true`)
	if got := book(t, folder); len(got) != 2 {
		t.Errorf("the book has %d entries, want 2", len(got))
	}
}

func TestTheServicesOwnPages(t *testing.T) {
	url := alone(t, t.TempDir()).URL()
	want(t, http.MethodPut, url+"/api/packages/a%20b", `{"size":"Small","weight":1}`, http.StatusCreated)
	want(t, http.MethodPut, url+"/api/packages/a%20b", `{"size":"Large","weight":7,"tag":"t"}`, http.StatusNoContent)
	want(t, http.MethodPut, url+"/api/packages/a%20b", `{"size":"Small","weight":7}`, http.StatusUnprocessableEntity)
	for _, body := range []string{`{`, `null`, `[]`, `""`, `{"size":"Small","wieght":1}`, `{"size":"Small","weight":"1"}`, `{"size":"Small","weight":1,"tag":{}}`} {
		want(t, http.MethodPut, url+"/api/packages/a%20b", body, http.StatusBadRequest)
	}
	for _, size := range []string{"constructor", "toString", "__proto__"} { // what every object has is no size
		want(t, http.MethodPut, url+"/api/packages/a%20b", `{"size":"`+size+`","weight":1}`, http.StatusUnprocessableEntity)
	}
	if got := get(t, url+"/api/packages/a%20b", http.StatusOK); got != `{"id":"a b","size":"Large","weight":7,"tag":"t"}` {
		t.Errorf("the package is %s", got)
	}
	if got := get(t, url+"/api/packages", http.StatusOK); got != `["a b"]` {
		t.Errorf("the list is %s", got)
	}
	get(t, url+"/api/packages/c", http.StatusNotFound)
	want(t, http.MethodPut, url+"/api/packages/%ff", `{"size":"Small","weight":1}`, http.StatusBadRequest) // no UTF-8
}

func TestTheFailureSwitches(t *testing.T) {
	url := alone(t, t.TempDir()).URL()
	c := newCaller(t, url)
	set := func(body string, status int) {
		want(t, http.MethodPut, url+"/switches/package.upsert", body, status)
	}
	set(`{"mode":"maybe"}`, http.StatusUnprocessableEntity)
	set(`{"mode":"drop","count":1}`, http.StatusNoContent)
	c.want(upsert("d-1", "p-1", "Small", "1"), participant.Unknown, "no answer")
	c.want(upsert("d-1", "p-1", "Small", "1"), participant.Done, `"created":true`) // it had acted
	set(`{"mode":"down","count":1}`, http.StatusNoContent)
	c.want(upsert("d-2", "p-2", "Small", "1"), participant.Unknown, "")
	get(t, url+"/api/packages/p-2", http.StatusNotFound)
	set(`{"mode":"error500"}`, http.StatusNoContent)
	c.want(upsert("d-2", "p-2", "Small", "1"), participant.Unknown, "500")
	set(`{"mode":"refuse"}`, http.StatusNoContent)
	c.want(upsert("d-2", "p-2", "Small", "1"), participant.Refused, parcel.ReasonSwitched)
	want(t, http.MethodDelete, url+"/switches", "", http.StatusNoContent)
	c.want(upsert("d-2", "p-2", "Small", "1"), participant.Refused, parcel.ReasonSwitched) // for good
	set(`{"mode":"slow","delay_ms":1,"count":2}`, http.StatusNoContent)
	c.want(upsert("d-3", "p-3", "Small", "1"), participant.Done, "")
	var all []struct {
		Operation, Mode string
		Count           int
	}
	if err := json.Unmarshal([]byte(get(t, url+"/switches", http.StatusOK)), &all); err != nil || len(all) != 4 || all[2].Operation != "package.upsert" || all[2].Mode != "slow" || all[2].Count != 1 {
		t.Errorf("the switches are %+v, %v", all, err)
	}
}

// The service, its sidecar and what is decided about deliveries, in the place of the service in Go.
func TestTheServiceStandsInTheDroneSystem(t *testing.T) {
	needNode(t)
	server, err := natsbroker.Start(natsbroker.ServerConfig{Dir: t.TempDir(), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := natsbroker.Open(t.Context(), natsbroker.Config{Server: server, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	b := watched{opened, make(chan string, 10)}
	t.Cleanup(func() {
		if err := errors.Join(b.Close(), server.Close()); err != nil {
			t.Error(err)
		}
	})
	saga, err := dispatch()
	if err != nil {
		t.Fatal(err)
	}
	s, err := node.Start(t.Context(), node.Config{Data: t.TempDir(), Broker: b, Saga: saga, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	e, err := skald.Open(t.Context(), skald.Config{Mode: skald.Choreographed, Broker: b, Store: memstore.New(), Sagas: []skald.Registered{saga}, Logger: quiet(),
		Participants: map[string]skald.Participant{node.Name: {Level: participant.L1}, "courier": {Invoker: courier(t), Level: participant.L2}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := errors.Join(e.Stop(ctx), s.Stop(ctx)); err != nil {
			t.Error(err)
		}
	})
	ends := func(n int, state, reason string) {
		t.Helper()
		o, _, _ := plan(n)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		run, err := saga.Start(ctx, e, o, skald.WithID(skald.SagaID(o.Delivery)))
		if err != nil {
			t.Fatal(err)
		}
		status, err := run.Wait(ctx)
		if err != nil || string(status.State) != state || status.Reason != reason || status.Step("package.upsert").Level != "L1" {
			t.Errorf("%s ended as %s, %s, want %s, %s; %v", o.Delivery, status.State, status.Reason, state, reason, err)
		}
	}
	ends(0, "completed", "")
	ends(1, "compensated", parcel.ReasonTooHeavy)
	ends(2, "compensated", "CourierFail.Strike")
	if got := get(t, s.URL()+"/api/packages", http.StatusOK); got != `["p-0"]` {
		t.Errorf("the packages are %s", got)
	}
	data, err := json.Marshal(command.Cancel{Delivery: "d-4", By: "delivery", Reason: "x"})
	if err != nil {
		t.Fatal(err)
	}
	err = b.Publish(t.Context(), bus.DroneCommands, broker.Message{ID: "c-1", Type: command.TypeCancelled, Source: "delivery", Saga: "d-4", Step: "command.1", Time: time.Now().UTC(), Data: data, Key: broker.NewKey("d-4")})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-b.done:
	case <-time.After(patience):
		t.Fatal("the command is not carried out")
	}
	ends(4, "compensated", parcel.ReasonCancelled)
}

// watched is a broker that tells which commands the Package service has done with. What waits at the broker would not say so: it is counted a moment after a publish.
type watched struct {
	*natsbroker.Broker
	done chan string // ids
}

// Receiver implements broker.Broker.
func (w watched) Receiver(ctx context.Context, topic, subscription string) (broker.Receiver, error) {
	r, err := w.Broker.Receiver(ctx, topic, subscription)
	if err != nil || topic != bus.DroneCommands {
		return r, err
	}
	return watchedReceiver{r, w.done}, nil
}

type watchedReceiver struct {
	broker.Receiver
	done chan string
}

// Receive implements broker.Receiver.
func (r watchedReceiver) Receive(ctx context.Context, most int) ([]*broker.Delivery, error) {
	all, err := r.Receiver.Receive(ctx, most)
	for _, d := range all {
		d.Settlement = watchedSettlement{d.Settlement, func() { r.done <- d.Message.ID }}
	}
	return all, err
}

type watchedSettlement struct {
	broker.Settlement
	done func()
}

// Complete implements broker.Settlement.
func (s watchedSettlement) Complete(ctx context.Context) error {
	err := s.Settlement.Complete(ctx)
	if err == nil {
		s.done()
	}
	return err
}

// A service that opens no port at all: only its sidecar reaches it.
func TestTheServiceBehindAUnixSocket(t *testing.T) {
	needNode(t)
	socket := filepath.Join(t.TempDir(), "package.sock")
	p, err := node.StartProcess(t.Context(), "", t.TempDir(), "unix:"+socket, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	saga, err := dispatch()
	if err != nil {
		t.Fatal(err)
	}
	s, err := sidecar.Open(t.Context(), sidecar.Config{Name: node.Name, Service: p.URL(), Data: t.TempDir(), Sagas: []skald.Registered{saga}, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	c := newCaller(t, "http://"+s.Address())
	c.want(upsert("d-1", "p-1", "Small", "1"), participant.Done, `"created":true`)
	c.want(withdraw("d-1"), participant.Done, "null")
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", info, err)
	}
}

// The definition that the README starts a sidecar with says what the service's contract says.
func TestTheDefinitionAsDataKeepsToTheContract(t *testing.T) {
	text, err := os.ReadFile("dispatch.json")
	if err != nil {
		t.Fatal(err)
	}
	data, err := skald.ReadDefinition(text)
	if err != nil {
		t.Fatal(err)
	}
	inGo, err := dispatch()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(inGo.Steps()[0], data.Steps()[0]); diff != "" {
		t.Errorf("package.upsert (-in Go +as data):\n%s", diff)
	}
}
