package httpparticipant_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
)

func client(t testing.TB, cfg httpparticipant.Config) *httpparticipant.Client {
	t.Helper()
	if cfg.Egress == nil {
		cfg.Egress = httpparticipant.NewEgress(httpparticipant.EgressConfig{})
		t.Cleanup(cfg.Egress.Close)
	}
	c, err := httpparticipant.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wantUnknown(t *testing.T, a participant.Answer, words string) {
	t.Helper()
	if a.Class != participant.Unknown || !strings.Contains(a.Detail, words) {
		t.Errorf("answer is %s %s (%s), want unknown with %q", a.Class, a.Reason, a.Detail, words)
	}
}

// serveRaw hands each connection to a function and counts them.
func serveRaw(t *testing.T, serve func(n int32, conn net.Conn)) (url string, connections *atomic.Int32) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connections = new(atomic.Int32)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			n := connections.Add(1)
			serving.Go(func() {
				defer func() { _ = conn.Close() }()
				serve(n, conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
	})
	return "http://" + listener.Addr().String(), connections
}

// takeRequest reads one request to its end.
func takeRequest(r *bufio.Reader) bool {
	req, err := http.ReadRequest(r)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err == nil
}

func TestF08LostConnectionsAreUnknownInPlainWords(t *testing.T) {
	t.Run("the connection is lost before the answer", func(t *testing.T) {
		url, _ := serveRaw(t, func(_ int32, conn net.Conn) { takeRequest(bufio.NewReader(conn)) })
		wantUnknown(t, client(t, httpparticipant.Config{BaseURL: url}).Invoke(t.Context(), someCall()), "lost before the answer; it may have taken effect")
	})
	t.Run("the connection is lost in the answer", func(t *testing.T) {
		url, _ := serveRaw(t, func(_ int32, conn net.Conn) {
			takeRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"half\":")
		})
		wantUnknown(t, client(t, httpparticipant.Config{BaseURL: url}).Invoke(t.Context(), someCall()), "lost before the answer")
	})
	t.Run("it answers in something else than HTTP", func(t *testing.T) {
		url, _ := serveRaw(t, func(_ int32, conn net.Conn) {
			takeRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9.2\r\n")
		})
		wantUnknown(t, client(t, httpparticipant.Config{BaseURL: url}).Invoke(t.Context(), someCall()), "no answer from")
	})
}

func TestF08TimeOutIsUnknownWhoeverSetsIt(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	const soon = 50 * time.Millisecond
	t.Run("the client", func(t *testing.T) {
		wantUnknown(t, client(t, httpparticipant.Config{BaseURL: server.URL, Timeout: soon}).Invoke(t.Context(), someCall()), "in time; it may have taken effect")
	})
	t.Run("the call", func(t *testing.T) {
		c := someCall()
		c.Deadline = time.Now().Add(soon)
		wantUnknown(t, client(t, httpparticipant.Config{BaseURL: server.URL}).Invoke(t.Context(), c), "in time; it may have taken effect")
	})
	t.Run("the context", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		defer cancel()
		wantUnknown(t, client(t, httpparticipant.Config{BaseURL: server.URL}).Invoke(ctx, someCall()), "in time; it may have taken effect")
	})
	t.Run("a caller who goes away", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(soon, cancel)
		wantUnknown(t, client(t, httpparticipant.Config{BaseURL: server.URL}).Invoke(ctx, someCall()), "given up before")
	})
}

// The server of a kept connection closes it just when the next request is on its way. A call to a participant with the barrier is sent again at once; one to a participant
// without is not, because nobody knows whether it arrived.
func TestRequestOnAConnectionThatClosesIsSentAgainOnlyToABarrier(t *testing.T) {
	for _, test := range []struct {
		level    participant.Level
		want     participant.Class
		requests int32
	}{{participant.L2, participant.Done, 3}, {participant.L1, participant.Unknown, 2}, {participant.L0, participant.Unknown, 2}} {
		t.Run(test.level.String(), func(t *testing.T) {
			var requests atomic.Int32
			url, _ := serveRaw(t, func(n int32, conn net.Conn) {
				for r := bufio.NewReader(conn); takeRequest(r); {
					if requests.Add(1) == 2 {
						return // the second request on the first connection gets no answer
					}
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n7")
				}
			})
			c := client(t, httpparticipant.Config{BaseURL: url, Level: test.level})
			if a := c.Invoke(t.Context(), someCall()); a.Class != participant.Done {
				t.Fatalf("the first call is %s (%s)", a.Class, a.Detail)
			}
			if a := c.Invoke(t.Context(), someCall()); a.Class != test.want {
				t.Errorf("the second call is %s (%s), want %s", a.Class, a.Detail, test.want)
			}
			if n := requests.Load(); n != test.requests {
				t.Errorf("%d requests arrived, want %d", n, test.requests)
			}
		})
	}
}

func TestConnectionsAreKept(t *testing.T) {
	answers := []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 409 Conflict\r\nContent-Type: application/problem+json\r\nContent-Length: 14\r\n\r\n{\"reason\":\"A\"}",
		"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops",
		"HTTP/1.1 307 Temporary Redirect\r\nLocation: /\r\nContent-Length: 4\r\n\r\noops",
	}
	var next atomic.Int32
	url, connections := serveRaw(t, func(_ int32, conn net.Conn) {
		for r := bufio.NewReader(conn); takeRequest(r); {
			_, _ = io.WriteString(conn, answers[int(next.Add(1)-1)%len(answers)])
		}
	})
	e := httpparticipant.NewEgress(httpparticipant.EgressConfig{})
	c := client(t, httpparticipant.Config{BaseURL: url, Egress: e})
	for range 2 * len(answers) {
		c.Invoke(t.Context(), someCall())
	}
	e.Close()
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections for %d calls, want 1", n, 2*len(answers))
	}
}

func TestAnswersAreBounded(t *testing.T) {
	for name, head := range map[string]string{"announced": "Content-Length: 999999\r\n\r\n", "chunked": "Transfer-Encoding: chunked\r\n\r\nF423F\r\n", "endless": "Connection: close\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			url, _ := serveRaw(t, func(_ int32, conn net.Conn) {
				takeRequest(bufio.NewReader(conn))
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+head+strings.Repeat("7", 999999))
			})
			wantUnknown(t, client(t, httpparticipant.Config{BaseURL: url, MaxBody: 1000}).Invoke(t.Context(), someCall()), "has more than 1000 bytes")
		})
	}
	t.Run("just fits", func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("7", 1000)) }))
		defer server.Close()
		if a := client(t, httpparticipant.Config{BaseURL: server.URL, MaxBody: 1000}).Invoke(t.Context(), someCall()); a.Class != participant.Done || len(a.Result) != 1000 {
			t.Errorf("answer is %s (%s) with %d bytes", a.Class, a.Detail, len(a.Result))
		}
	})
}

func TestDetailsCarryNoPayload(t *testing.T) {
	const secret = "4242424242424242"
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\nx: " + secret,
		"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 16\r\n\r\n" + secret,
		"HTTP/1.1 409 Conflict\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n" + secret,
		"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://" + secret + "/\r\nContent-Length: 0\r\n\r\n",
		"",
	} {
		url, _ := serveRaw(t, func(_ int32, conn net.Conn) {
			takeRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, answer)
		})
		call := someCall()
		call.Input = []byte(`{"card":"` + secret + `"}`)
		if a := client(t, httpparticipant.Config{BaseURL: url}).Invoke(t.Context(), call); a.Class != participant.Unknown || strings.Contains(a.Detail, secret) {
			t.Errorf("answer is %s (%s)", a.Class, a.Detail)
		}
	}
}

func TestManyCallsShareAFewConnections(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `7`) }))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	c := client(t, httpparticipant.Config{BaseURL: server.URL + "/behind/a/path/"})
	var callers sync.WaitGroup
	const inFlight, calls = 64, 20
	for range inFlight {
		callers.Go(func() {
			for range calls {
				if a := c.Invoke(t.Context(), someCall()); a.Class != participant.Done {
					t.Errorf("answer is %s (%s)", a.Class, a.Detail)
				}
			}
		})
	}
	callers.Wait()
	if n := connections.Load(); n > 2*inFlight {
		t.Errorf("%d connections for %d calls in flight", n, inFlight)
	}
}

func TestUnusableCallsAreNotSent(t *testing.T) {
	url, connections := serveRaw(t, func(int32, net.Conn) {})
	c := client(t, httpparticipant.Config{BaseURL: url})
	for _, bad := range []participant.Call{{}, {Saga: "s\r\nX: y", Step: "a", Phase: participant.Action, Operation: "a.b"},
		{Saga: "s", Step: "a", Phase: participant.Action, Operation: "../admin"}, {Saga: "s", Step: "a", Phase: participant.Action, Operation: "a?b"}} {
		wantUnknown(t, c.Invoke(t.Context(), bad), "unusable call")
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

func TestBaseAddressMayHaveAPathAndBeIPv6(t *testing.T) {
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("SKIPPED: no IPv6 on loopback: %v", err)
	}
	paths := make(chan string, 1)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths <- r.URL.Path
		_, _ = io.WriteString(w, `7`)
	})}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()
	if !netip.MustParseAddrPort(listener.Addr().String()).Addr().Is6() {
		t.Fatal("the listener is not on IPv6")
	}
	a := client(t, httpparticipant.Config{BaseURL: "http://" + listener.Addr().String() + "/stock/"}).Invoke(t.Context(), someCall())
	if path := <-paths; a.Class != participant.Done || path != "/stock/operations/stock.reserve" {
		t.Errorf("answer is %s (%s), path is %s", a.Class, a.Detail, path)
	}
}
