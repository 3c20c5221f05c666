package access_test

import (
	"bytes"
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/access/accesstest"
)

// server answers over TLS with the configuration.
func server(t *testing.T, c access.Certificates) string {
	t.Helper()
	config, err := c.Server()
	if err != nil {
		t.Fatal(err)
	}
	return accesstest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }), config)
}

// ask makes a request over a connection of its own, and returns the server's certificate.
func ask(t *testing.T, url string, c access.Certificates) ([]byte, error) {
	t.Helper()
	config, err := c.Client()
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body.Close()
	return answer.TLS.PeerCertificates[0].Raw, nil
}

func TestOnlyCertificatesOfTheCAAndTheNameGetThrough(t *testing.T) {
	ours, others := accesstest.NewCA(t), accesstest.NewCA(t)
	of := ours.Issue(t, "stock")
	of.From = []string{"coordinator", "spare"}
	url := server(t, of)
	stranger := others.Issue(t, "coordinator")
	stranger.CA = ours.File
	nobody := access.Certificates{CA: ours.File}
	wrongServer := ours.Issue(t, "coordinator")
	wrongServer.CA = others.File
	for name, x := range map[string]struct {
		client access.Certificates
		let    bool
	}{
		"the coordinator": {ours.Issue(t, "coordinator"), true}, "the spare one": {ours.Issue(t, "spare"), true}, "another of the house": {ours.Issue(t, "shop"), false},
		"without a certificate": {nobody, false}, "of another CA": {stranger, false}, "who trusts another CA": {wrongServer, false},
	} {
		if _, err := ask(t, url, x.client); (err == nil) != x.let {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestARenewedCertificateIsUsedWithoutARestart(t *testing.T) {
	ca := accesstest.NewCA(t)
	c := ca.Issue(t, "stock")
	url := server(t, c)
	client := ca.Issue(t, "coordinator")
	first, err := ask(t, url, client)
	if err != nil {
		t.Fatal(err)
	}
	ca.Renew(t, "stock", c)
	later := time.Now().Add(time.Minute) // the clock of a file system may be coarse
	if err := os.Chtimes(c.Cert, later, later); err != nil {
		t.Fatal(err)
	}
	second, err := ask(t, url, client)
	if err != nil || bytes.Equal(first, second) {
		t.Errorf("after the renewal: the same certificate: %t, %v", bytes.Equal(first, second), err)
	}
	if err := os.WriteFile(c.Cert, []byte("half of a"), 0o600); err != nil {
		t.Fatal(err)
	}
	if third, err := ask(t, url, client); err != nil || !bytes.Equal(second, third) {
		t.Errorf("while it is being renewed: %v", err)
	}
}

func TestCertificatesThatCannotBeUsedSayTheMend(t *testing.T) {
	ca := accesstest.NewCA(t)
	good := ca.Issue(t, "stock")
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		c    access.Certificates
		says string
	}{
		{access.Certificates{}, "give both files"}, {access.Certificates{Cert: good.Cert}, "give both files"}, {access.Certificates{Cert: empty, Key: good.Key}, "cannot be used"},
		{access.Certificates{Cert: good.Cert, Key: good.Key, CA: empty}, "no certificate"}, {access.Certificates{Cert: good.Cert, Key: good.Key, CA: "nowhere.pem"}, "cannot be read"},
		{access.Certificates{Cert: good.Cert, Key: good.Key, From: []string{"x"}}, "without the CA"}, {access.Certificates{Cert: "nowhere.pem", Key: good.Key}, "cannot be used"},
	} {
		if _, err := x.c.Server(); err == nil || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%+v: %v, want %q", x.c, err, x.says)
		}
	}
	if access.MutualServer(nil) || access.MutualServer(&tls.Config{ClientAuth: tls.RequestClientCert}) { //nolint:gosec // is never used
		t.Error("a server that lets in anybody is called mutual")
	}
	if c, err := good.Server(); err != nil || !access.MutualServer(c) {
		t.Errorf("%v", err)
	}
}
