package natsbroker_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
)

// An answer may be lost with the leader that gave it. Renewing and completing are then asked for again, long before the caller gives up; meanwhile the lock holds.
func TestF31_WhatIsNotAnsweredIsAskedForAgain(t *testing.T) {
	const lock = 2 * time.Second
	s := run(t, func(*server.Options) {})
	ready(t, s)
	p := newForgetful(t, s.ClientURL())
	b, other := open(t, natsbroker.Config{URL: p.url()}), open(t, natsbroker.Config{URL: s.ClientURL()})
	defer other.Close()
	defer b.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := other.Declare(ctx, broker.Topic{Name: "q", Subscriptions: []broker.Subscription{{Name: "q", Lock: lock}}}); err != nil {
		t.Fatal(err)
	}
	if err := other.Publish(ctx, "q", numbered(1)); err != nil {
		t.Fatal(err)
	}
	mine, err := b.Receiver(ctx, "q", "q")
	if err != nil {
		t.Fatal(err)
	}
	d, err := mine.Receive(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := other.Receiver(ctx, "q", "q")
	if err != nil {
		t.Fatal(err)
	}
	watching, stop := context.WithTimeout(ctx, 3*lock)
	defer stop()
	var watch sync.WaitGroup
	watch.Go(func() {
		if again, err := theirs.Receive(watching, 1); len(again) > 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("another receiver gets %d messages, %v; want none", len(again), err)
		}
	})
	defer watch.Wait()

	tick := time.NewTicker(lock / 4)
	defer tick.Stop()
	for end := time.Now().Add(3 * lock / 2); time.Now().Before(end); <-tick.C {
		if err := d[0].Renew(ctx); err != nil {
			t.Fatalf("renewing: %v", err)
		}
	}
	if err := d[0].Complete(ctx); err != nil {
		t.Fatalf("completing: %v", err)
	}
	for what, least := range map[string]int{"+WPI": 3, "+ACK": 2} {
		if asked, forgotten := p.asked(what); asked < least || forgotten != 1 {
			t.Errorf("%s was asked for %d times, and not answered %d times; want at least %d and 1", what, asked, forgotten, least)
		}
	}
}

// forgetful stands between clients and a server, and forgets the first answer to each way of settling a message.
type forgetful struct {
	listener net.Listener
	server   string
	running  sync.WaitGroup

	mu        sync.Mutex
	requests  map[string]int
	forgotten map[string]int
	to        map[string]string // what was asked for, by the address of an answer that is to be forgotten
}

func newForgetful(t *testing.T, of string) *forgetful {
	t.Helper()
	u, err := url.Parse(of)
	if err != nil {
		t.Fatal(err)
	}
	f := &forgetful{server: u.Host, requests: make(map[string]int), forgotten: make(map[string]int), to: make(map[string]string)}
	if f.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	f.running.Go(func() {
		for {
			client, err := f.listener.Accept()
			if err != nil {
				return
			}
			f.running.Go(func() { f.serve(client) })
		}
	})
	t.Cleanup(func() { // the clients have gone
		_ = f.listener.Close()
		f.running.Wait()
	})
	return f
}

func (f *forgetful) url() string { return "nats://" + f.listener.Addr().String() }

// asked returns how often something was asked for, and how many answers were forgotten.
func (f *forgetful) asked(what string) (requests, forgotten int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests[what], f.forgotten[what]
}

func (f *forgetful) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", f.server)
	if err != nil {
		return
	}
	defer server.Close()
	f.running.Go(func() {
		defer client.Close()
		pass(server, client, f.answer)
	})
	pass(client, server, f.request)
}

// request notes what a client asks for: it is passed on.
func (f *forgetful) request(args []string, payload string) bool {
	if what := payload; strings.HasSuffix(args[0], "PUB") && len(args) > 3 && (what == "+WPI" || what == "+ACK") {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.requests[what]++; f.requests[what] == 1 {
			f.to[args[2]] = what
		}
	}
	return true
}

// answer says whether what the server says is passed on.
func (f *forgetful) answer(args []string, _ string) bool {
	if !strings.HasSuffix(args[0], "MSG") {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	what, forget := f.to[args[1]]
	if forget {
		delete(f.to, args[1])
		f.forgotten[what]++
	}
	return !forget
}

// pass passes on what one side says in the protocol of NATS, one command after the other, as long as it says something.
func pass(from io.Reader, to io.Writer, on func(args []string, payload string) bool) {
	for in := bufio.NewReader(from); ; {
		line, err := in.ReadString('\n')
		args := strings.Fields(line)
		if err != nil || len(args) == 0 {
			return
		}
		var payload []byte
		switch args[0] {
		case "PUB", "HPUB", "MSG", "HMSG":
			size, err := strconv.Atoi(args[len(args)-1])
			if err != nil {
				return
			}
			payload = make([]byte, size+len("\r\n"))
			if _, err := io.ReadFull(in, payload); err != nil {
				return
			}
		}
		if !on(args, strings.TrimSuffix(string(payload), "\r\n")) {
			continue
		}
		if _, err := io.WriteString(to, line+string(payload)); err != nil {
			return
		}
	}
}
