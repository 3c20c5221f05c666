package httpparticipant_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
)

// deserted is an address at which nobody listens.
func deserted(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// names resolves names by a function.
func names(look func(ctx context.Context) error) httpparticipant.EgressConfig {
	return httpparticipant.EgressConfig{Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return nil, look(ctx) }}}
}

func TestF08ACallThatNeverLeftSaysSo(t *testing.T) {
	address := deserted(t)
	stranger := httptest.NewUnstartedServer(http.NotFoundHandler())
	stranger.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	stranger.StartTLS()
	defer stranger.Close()
	for name, test := range map[string]struct {
		url, words string
		way        httpparticipant.EgressConfig
	}{
		"nobody listens":      {"http://" + address, "connection refused by " + address, httpparticipant.EgressConfig{}},
		"a forbidden address": {"http://169.254.169.254", "link-local, where clouds keep credentials", httpparticipant.EgressConfig{}},
		"an unknown name": {"http://stock.test", "the name stock.test cannot be resolved", names(func(context.Context) error {
			return &net.DNSError{Err: "no such host", Name: "stock.test", IsNotFound: true}
		})},
		"no connection in time": {"http://stock.test", "no connection to stock.test in time", names(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })},
		"an unknown authority":  {stranger.URL, "certificate signed by unknown authority", httpparticipant.EgressConfig{}},
	} {
		t.Run(name, func(t *testing.T) {
			e := httpparticipant.NewEgress(test.way)
			defer e.Close()
			patience := 30 * time.Second
			if name == "no connection in time" {
				patience = 50 * time.Millisecond
			}
			a := client(t, httpparticipant.Config{BaseURL: test.url, Egress: e, Timeout: patience}).Invoke(t.Context(), someCall())
			wantUnknown(t, a, test.words)
			if !a.NotAsked || strings.Contains(a.Detail, "may have taken effect") {
				t.Errorf("it counts as sent: %s", a.Detail)
			}
		})
	}
	t.Run("an unusable call", func(t *testing.T) {
		if a := client(t, httpparticipant.Config{BaseURL: "http://" + address}).Invoke(t.Context(), participant.Call{}); !a.NotAsked {
			t.Errorf("it counts as sent: %s", a.Detail)
		}
	})
}

// A call that broke with the kept connection under it is sent again over a new one. That this cannot be dialled says nothing about the first.
func TestF08ARefusedDialIsNoProofAfterAKeptConnectionBroke(t *testing.T) {
	for level, words := range map[participant.Level]string{participant.L0: "lost before the answer", participant.L1: "lost before the answer", participant.L2: "lost, and refused when it was made anew"} {
		t.Run(level.String(), func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan bool)
			go func() {
				conn, err := listener.Accept()
				if err != nil {
					served <- false
					return
				}
				r := bufio.NewReader(conn)
				took := takeRequest(r)
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n7")
				took = takeRequest(r) && took // the second one took effect, for all that is known
				_ = listener.Close()
				_ = conn.Close()
				served <- took
			}()
			c := client(t, httpparticipant.Config{BaseURL: "http://" + listener.Addr().String(), Level: level})
			if a := c.Invoke(t.Context(), someCall()); a.Class != participant.Done {
				t.Fatalf("the first call is %s (%s)", a.Class, a.Detail)
			}
			a := c.Invoke(t.Context(), someCall())
			if !<-served {
				t.Fatal("two calls did not arrive")
			}
			wantUnknown(t, a, words)
			if a.NotAsked {
				t.Errorf("it counts as never sent: %s", a.Detail)
			}
		})
	}
}
