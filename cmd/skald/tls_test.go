package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	nats "github.com/nats-io/nats-server/v2/server"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access/accesstest"
)

// encrypted is a NATS server of its own with JetStream, which speaks TLS only and asks who connects for a certificate of the CA, too.
func encrypted(t *testing.T, ca *accesstest.CA) string {
	t.Helper()
	serves, err := ca.Issue(t, "broker").Server()
	if err != nil {
		t.Fatal(err)
	}
	s, err := nats.NewServer(&nats.Options{Host: "127.0.0.1", Port: nats.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), MaxPayload: 4 << 20, NoSigs: true, NoLog: true,
		TLS: true, TLSVerify: true, TLSConfig: serves, TLSTimeout: patience.Seconds()})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not start")
	}
	return "nats://" + s.Addr().String()
}

// refused runs a program that is to end by itself, and returns what it says.
func refused(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p := exec.CommandContext(ctx, os.Args[0], args...)
	p.Env = append(os.Environ(), processVariable+"=skald")
	said, err := p.CombinedOutput()
	if err == nil || ctx.Err() != nil {
		t.Fatalf("skald %s does not end with an error (%v):\n%s", args[0], err, said)
	}
	return string(said)
}

// A broker elsewhere that speaks TLS is trusted by its CA, and trusts by the same; without, or with another CA, nobody connects.
func TestABrokerIsTrustedByItsCA(t *testing.T) {
	ca, d := accesstest.NewCA(t), newDepot(t, "")
	url, own := encrypted(t, ca), ca.Issue(t, "coordinator")
	p := newPremises(t, fmt.Sprintf(parcel, "stamp"), "  depot: {level: L1}\n")
	definition := filepath.Join(p.dir, "parcel.json")
	sidecar := []string{"sidecar", "--name=depot", "--service=" + d.URL, "--definitions=" + definition, "--broker=" + url, "--broker-wait=2s"}
	serve := []string{"serve", "--listen=127.0.0.1:0", "--definitions=" + definition, "--participants=" + filepath.Join(p.dir, "participants.yaml"), "--broker=" + url, "--mode=choreographed"}
	const unknown = "certificate signed by unknown authority"
	for _, x := range []struct {
		program []string
		ca, why string
	}{
		{serve, "", unknown}, {sidecar, "", unknown},
		{serve, accesstest.NewCA(t).File, unknown},
		{sidecar, ca.File, url}, // which has no certificate: the server ends the connection, at one moment or another
	} {
		args := append(slices.Clone(x.program), "--data="+t.TempDir())
		if x.ca != "" {
			args = append(args, "--broker-ca="+x.ca)
		}
		if said := refused(t, args...); !strings.Contains(said, x.why) {
			t.Errorf("%v says\n%s\nwant %q", args, said, x.why)
		}
	}

	p.serve(t, "--mode=choreographed", "--broker="+url, "--broker-ca="+ca.File, "--client-cert="+own.Cert, "--client-key="+own.Key)
	start(t, "skald", nil, append(sidecar, "--data="+t.TempDir(), "--broker-ca="+ca.File, "--cert="+own.Cert, "--key="+own.Key, "--broker-wait="+time.Minute.String())...)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := p.client.Start(ctx, skald.StartRequest{ID: "p-1", Definition: "parcel", Input: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	if s, err := p.client.Wait(ctx, "p-1"); err != nil || s.State != skald.Completed {
		t.Fatal(s.State, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.effects) != 2 {
		t.Errorf("the service did %v", d.effects)
	}
}
