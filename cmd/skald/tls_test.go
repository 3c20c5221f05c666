package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
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

// asked asks a server for its list of sagas, and returns the exit code with what is said.
func asked(flags ...string) (code int, said string) {
	var out, errs bytes.Buffer
	code = run(append([]string{"list"}, flags...), nil, strings.NewReader(""), &out, &errs)
	return code, errs.String()
}

// A server that cannot be talked to as it is addressed is not told as one that is away, and a CA of one's own can be named.
func TestAServerIsTrustedByItsCA(t *testing.T) {
	list := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"sagas":[]}`) })
	ca := accesstest.NewCA(t)
	own := ca.Issue(t, "skald")
	own.CA = "" // it asks nobody for theirs
	serves, err := own.Server()
	if err != nil {
		t.Fatal(err)
	}
	secure, plain := accesstest.Serve(t, list, serves), httptest.NewServer(list)
	t.Cleanup(plain.Close)
	const unknown = "its certificate is not trusted: x509: certificate signed by unknown authority"
	for _, x := range []struct {
		flags []string
		code  int
		why   string
		mend  string
	}{
		{[]string{"--address=" + secure}, exitUsage, secure + ": " + unknown, "--ca or SKALD_CA"},
		{[]string{"--address=" + secure, "--ca=" + accesstest.NewCA(t).File}, exitUsage, unknown, "--ca or SKALD_CA"},
		{[]string{"--address=" + secure, "--ca=nothing.pem"}, exitUsage, "--ca", "no such file"},
		{[]string{"--address=" + secure, "--ca=tls_test.go"}, exitUsage, "--ca", "no certificate in PEM"},
		{[]string{"--address=" + secure, "--ca=" + ca.File}, exitDone, "No saga matches.", ""},
		{[]string{"--address=" + strings.Replace(plain.URL, "http:", "https:", 1)}, exitUsage, "it answers without encryption", "Write the address with http://"},
	} {
		if code, said := asked(x.flags...); code != x.code || !strings.Contains(said, x.why) || !strings.Contains(said, x.mend) || strings.Contains(said, "nobody answers") {
			t.Errorf("%v ends with %d and says\n%s\nwant %d, %q and %q", x.flags, code, said, x.code, x.why, x.mend)
		}
	}
	t.Setenv("SKALD_CA", ca.File)
	if code, said := asked("--address=" + secure); code != exitDone {
		t.Errorf("with SKALD_CA it ends with %d and says %s", code, said)
	}
	expired := &url.Error{Op: "Get", URL: secure, Err: &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}}}
	if said := message(expired); !strings.Contains(said, "has expired") || !strings.Contains(said, "renew the certificate at the server") || codeOf(expired) != exitUsage {
		t.Errorf("of a certificate that has expired it says %s, and ends with %d", said, codeOf(expired))
	}
}
