package httpparticipant_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
)

// vectors is docs/testdata/wire-vectors.json.
type vectors struct {
	Calls []struct {
		Name              string
		Sides             []string
		Call              callVector
		Request, Response string
		Answer            answerVector
	}
	Events []struct {
		Name              string
		Message           messageVector
		Request, Response string
		Taken             bool
	}
}

type callVector struct {
	Saga, Step, Phase, Operation string
	Attempt                      uint32
	Epoch                        uint64
	Deadline                     time.Time
	Trace, Input, Result         string
}

type answerVector struct {
	Class, Result, Reason, Detail string
	RetryAfterMS                  int64 `json:"retry_after_ms"`
	Working                       bool  `json:"working"`
}

type messageVector struct {
	ID, Type, Source, Saga, Step, Data, Trace string
	Time                                      time.Time
}

// vectorHost is the address that the vectors speak of.
const vectorHost = "127.0.0.1:7003"

func readVectors(t *testing.T) vectors {
	t.Helper()
	data, err := os.ReadFile("../../docs/testdata/wire-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Calls) == 0 || len(v.Events) == 0 {
		t.Fatal("there are no vectors")
	}
	return v
}

func (c callVector) call() participant.Call {
	return participant.Call{Saga: journal.SagaID(c.Saga), Step: c.Step, Phase: participant.Phase(c.Phase), Operation: c.Operation, Attempt: c.Attempt,
		Epoch: c.Epoch, Deadline: c.Deadline, Trace: c.Trace, Input: []byte(c.Input), Result: []byte(c.Result)}
}

func (a answerVector) answer() participant.Answer {
	class := map[string]participant.Class{"done": participant.Done, "refused": participant.Refused, "unknown": participant.Unknown}[a.Class]
	return participant.Answer{Class: class, Result: []byte(a.Result), Reason: a.Reason, Detail: a.Detail, RetryAfter: time.Duration(a.RetryAfterMS) * time.Millisecond, Working: a.Working}
}

// rawServer takes one request as bytes and answers with bytes.
func rawServer(t *testing.T, want, response string) (address string, got <-chan string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	address = listener.Addr().String()
	length := len(strings.ReplaceAll(want, vectorHost, address))
	seen := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			seen <- err.Error()
			return
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		request := make([]byte, length)
		n, err := io.ReadFull(conn, request)
		seen <- string(request[:n])
		if err == nil {
			_, _ = io.WriteString(conn, response)
		}
	}()
	return address, seen
}

func TestClientSpeaksTheVectors(t *testing.T) {
	for _, v := range readVectors(t).Calls {
		if !slices.Contains(v.Sides, "client") {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			address, got := rawServer(t, v.Request, v.Response)
			client, err := httpparticipant.New(httpparticipant.Config{BaseURL: "http://" + address, Timeout: 100 * 365 * 24 * time.Hour, Egress: egress(t)})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer time.AfterFunc(10*time.Second, cancel).Stop()
			answer := client.Invoke(ctx, v.Call.call())
			if diff := cmp.Diff(v.Request, strings.ReplaceAll(<-got, address, vectorHost)); diff != "" {
				t.Errorf("request (-vector +sent):\n%s", diff)
			}
			answer.Detail = strings.ReplaceAll(answer.Detail, address, vectorHost)
			answer.Result = append([]byte{}, answer.Result...)
			if diff := cmp.Diff(v.Answer.answer(), answer); diff != "" {
				t.Errorf("answer (-vector +got):\n%s", diff)
			}
			cancel()
		})
	}
}

// scripted answers as it is told.
type scripted struct {
	got    chan participant.Call
	answer participant.Answer
}

func (s scripted) Invoke(_ context.Context, c participant.Call) participant.Answer {
	s.got <- c
	return s.answer
}

func (s scripted) Level() participant.Level { return participant.L2 }

func (s scripted) Operations() []participant.Operation {
	return []participant.Operation{{Name: "inventaire.release", Phase: participant.Compensation}, {Name: "inventaire.reserve", Phase: participant.Action}}
}

// exchange sends bytes to a handler and returns the bytes that come back, without the header Date.
func exchange(t *testing.T, h http.Handler, request string) string {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	var head strings.Builder
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(bufio.NewReader(io.TeeReader(r, &head)), &http.Request{Method: http.MethodPost})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`Date: [^\r]*\r\n`).ReplaceAllString(head.String(), "")
}

func TestHandlerSpeaksTheVectors(t *testing.T) {
	now := time.Date(2026, 11, 21, 20, 0, 1, 500e6, time.UTC)
	for _, v := range readVectors(t).Calls {
		if !slices.Contains(v.Sides, "handler") {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			p := scripted{got: make(chan participant.Call, 1), answer: v.Answer.answer()}
			response := exchange(t, httpparticipant.Handler(p, httpparticipant.HandlerConfig{Now: func() time.Time { return now }}), v.Request)
			if diff := cmp.Diff(v.Response, response); diff != "" {
				t.Errorf("response (-vector +got):\n%s", diff)
			}
			select {
			case c := <-p.got:
				want := v.Call.call()
				if want.Phase == participant.Action {
					want.Result = nil
				}
				if diff := cmp.Diff(want, c); diff != "" {
					t.Errorf("call (-vector +got):\n%s", diff)
				}
			default:
				if v.Answer.Class != "" {
					t.Error("the participant was not called")
				}
			}
		})
	}
}

func TestPublisherAndReceiverSpeakTheVectors(t *testing.T) {
	for _, v := range readVectors(t).Events {
		want := participant.Message{ID: v.Message.ID, Type: v.Message.Type, Source: v.Message.Source, Saga: journal.SagaID(v.Message.Saga),
			Step: v.Message.Step, Time: v.Message.Time, Data: []byte(v.Message.Data), Trace: v.Message.Trace}
		t.Run(v.Name+" by a publisher", func(t *testing.T) {
			address, got := rawServer(t, v.Request, v.Response)
			p, err := httpparticipant.NewPublisher(httpparticipant.PublisherConfig{URL: "http://" + address + "/events", Egress: egress(t)})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Publish(t.Context(), []participant.Message{want}); (err == nil) != v.Taken {
				t.Errorf("published with error %v; taken is %t", err, v.Taken)
			}
			if diff := cmp.Diff(v.Request, strings.ReplaceAll(<-got, address, vectorHost)); diff != "" {
				t.Errorf("request (-vector +sent):\n%s", diff)
			}
		})
		t.Run(v.Name+" by a receiver", func(t *testing.T) {
			var got participant.Message
			response := exchange(t, httpparticipant.Receiver(func(_ context.Context, m participant.Message) error {
				if got = m; !v.Taken {
					return errors.New("no room")
				}
				return nil
			}), v.Request)
			if diff := cmp.Diff(v.Response, response); diff != "" {
				t.Errorf("response (-vector +got):\n%s", diff)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("message (-vector +got):\n%s", diff)
			}
		})
	}
}
