package httpparticipant_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
)

func someCall() participant.Call {
	return participant.Call{Saga: "s-1", Step: "hold", Phase: participant.Action, Operation: "stock.reserve", Input: []byte(`1`)}
}

// callAt asks at an address and returns the configuration's error, or the answer.
func callAt(t *testing.T, cfg httpparticipant.EgressConfig, url string) (participant.Answer, error) {
	t.Helper()
	e := httpparticipant.NewEgress(cfg)
	t.Cleanup(e.Close)
	c, err := httpparticipant.New(httpparticipant.Config{BaseURL: url, Timeout: 5 * time.Second, Egress: e})
	if err != nil {
		return participant.Answer{}, err
	}
	return c.Invoke(t.Context(), someCall()), nil
}

// forbiddenHosts are what no configuration allows.
func forbiddenHosts() []string {
	return []string{
		// link-local, and the metadata services that live there
		"169.254.169.254", "169.254.170.2", "169.254.0.1", "169.254.255.255", "[fe80::1]", "[fe80::1%25lo]", "[febf::1]", "[fe80::a9fe:a9fe]",
		// the same in IPv6's clothes
		"[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[0:0:0:0:0:ffff:a9fe:a9fe]", "[::169.254.169.254]", "[::a9fe:a9fe]",
		"[64:ff9b::169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "[::ffff:0:a9fe:a9fe]",
		"[2001:0:a9fe:a9fe::1]",
		// other metadata services
		"100.100.100.200", "168.63.129.16", "[fd00:ec2::254]", "[fd20:ce::254]", "192.0.0.192", "[::ffff:100.100.100.200]",
		// unspecified, which the kernel takes for loopback
		"0.0.0.0", "[::]", "[::ffff:0.0.0.0]", "0.0.0.1", "[2002:0:0::1]",
		// multicast and broadcast
		"224.0.0.1", "239.255.255.250", "255.255.255.255", "[ff02::1]", "[ff05::2]", "[::ffff:224.0.0.1]",
		// reserved
		"240.0.0.1", "192.0.0.8", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "192.88.99.1",
		"[fec0::1]", "[100::1]", "[2001:db8::1]", "[3fff::1]", "[5f00::1]",
	}
}

func TestForbiddenAddressesAreNotCalled(t *testing.T) {
	for _, host := range forbiddenHosts() {
		t.Run(host, func(t *testing.T) {
			for _, scheme := range []string{"http://", "https://"} {
				a, err := callAt(t, httpparticipant.EgressConfig{}, scheme+host+":9")
				if err != nil {
					t.Fatalf("the address was refused for its form, not for what it is: %v", err)
				}
				e := httpparticipant.NewEgress(httpparticipant.EgressConfig{})
				if err := e.Allows(scheme + host + ":9"); !errors.Is(err, httpparticipant.ErrForbidden) {
					t.Errorf("who keeps the address is not told: %v", err)
				}
				if a.Class != participant.Unknown || !strings.Contains(a.Detail, "not called: ") || !strings.Contains(a.Detail, "forbidden address") {
					t.Errorf("answer is %s (%s), want unknown: not called", a.Class, a.Detail)
				}
			}
		})
	}
}

// oddForms are forms that C libraries read as addresses, and addresses that say more than an address.
func oddForms() []string {
	return []string{
		"http://0251.0376.0251.0376:9", "http://0xa9.0xfe.0xa9.0xfe:9", "http://0xA9FEA9FE:9", "http://2852039166:9", "http://025177524776:9",
		"http://169.254.43518:9", "http://169.16689662:9", "http://127.1:9", "http://0:9", "http://0x7f.1:9", "http://169.254.169.254.:9",
		"http://127.0.0.1.:9", "http://0177.0.0.1:9", "http://127.0.0.010:9", "http://[::1%25]:9", "http://1.2.3.4.5:9", "http://99999999999999:9",
		"", "http://127.0.0.1:99999/", "http://127.0.0.1:0", "127.0.0.1:9", "//127.0.0.1:9", "ftp://127.0.0.1:9", "unix:///tmp/socket", "http://", "http://:9", "file:///etc/passwd",
		"http://user:secret@127.0.0.1:9", "http://127.0.0.1:9@169.254.169.254/", "http://127.0.0.1:9?x=1", "http://127.0.0.1:9/#x", "http://127.0.0.1:port",
	}
}

func TestAddressesInOddFormsAreRefused(t *testing.T) {
	for _, url := range oddForms() {
		t.Run(url, func(t *testing.T) {
			a, err := callAt(t, httpparticipant.EgressConfig{}, url)
			if err == nil {
				t.Fatalf("it was taken, and answered %s (%s)", a.Class, a.Detail)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error gives the password away: %v", err)
			}
		})
	}
}

// What goes out by Egress.Client, such as webhooks and questions to an issuer of tokens, is held to the same rules: by number, by a name that stands for it, and by a redirect.
func TestOtherRequestsGoTheSameGuardedWay(t *testing.T) {
	var address atomic.Value
	e := httpparticipant.NewEgress(httpparticipant.EgressConfig{Resolver: namesAre(t, func(string) netip.Addr { return address.Load().(netip.Addr) })})
	defer e.Close()
	client := e.Client(5 * time.Second)
	get := func(url string) (int, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			return 0, err
		}
		answer, err := client.Do(r)
		if err != nil {
			return 0, err
		}
		return answer.StatusCode, answer.Body.Close()
	}
	cases := 0
	for _, host := range forbiddenHosts() {
		cases++
		if _, err := get("http://" + host + ":9/"); !errors.Is(err, httpparticipant.ErrForbidden) {
			t.Errorf("%s: %v", host, err)
		}
		ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if err != nil || !ip.Unmap().Is4() {
			continue // a zone, or what the test's name server does not say
		}
		cases++
		address.Store(ip.Unmap())
		if _, err := get("http://hooks.test:9/"); !errors.Is(err, httpparticipant.ErrForbidden) {
			t.Errorf("a name that stands for %s: %v", host, err)
		}
	}
	for _, url := range oddForms() {
		cases++
		if status, err := get(url); err == nil {
			t.Errorf("%s is answered with %d", url, status)
		}
	}
	if cases < 100 {
		t.Errorf("only %d cases", cases)
	}
	server := httptest.NewServer(http.RedirectHandler("http://169.254.169.254/latest/meta-data/", http.StatusFound))
	defer server.Close()
	if status, err := get(server.URL); err != nil || status != http.StatusFound {
		t.Errorf("a redirect is answered with %d, %v", status, err)
	}
}

func TestLoopbackAndPrivateCanBeForbidden(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("7")) }))
	defer server.Close()
	if a, err := callAt(t, httpparticipant.EgressConfig{NoPrivate: true}, server.URL); err != nil || a.Class != participant.Done {
		t.Errorf("loopback is allowed: %s (%s), %v", a.Class, a.Detail, err)
	}
	for _, host := range []string{"127.0.0.1", "127.255.255.254", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::1]"} {
		a, err := callAt(t, httpparticipant.EgressConfig{NoLoopback: true}, "http://"+host+":9")
		if err != nil || !strings.Contains(a.Detail, "loopback") {
			t.Errorf("%s: %s (%s), %v", host, a.Class, a.Detail, err)
		}
	}
	for _, host := range []string{"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "[fd12::1]", "[::ffff:10.0.0.1]", "[64:ff9b::a00:1]"} {
		a, err := callAt(t, httpparticipant.EgressConfig{NoPrivate: true}, "http://"+host+":9")
		if err != nil || !strings.Contains(a.Detail, "private") {
			t.Errorf("%s: %s (%s), %v", host, a.Class, a.Detail, err)
		}
	}
}

// A name that says one address first and another one later gains nothing: what is checked is what is connected to.
func TestNameThatChangesItsAddressIsNotFollowed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		_, _ = w.Write([]byte("7"))
	}))
	defer server.Close()
	port := netip.MustParseAddrPort(server.Listener.Addr().String()).Port()
	var asked atomic.Int32
	resolver := namesAre(t, func(string) netip.Addr {
		if asked.Add(1) == 1 {
			return netip.MustParseAddr("127.0.0.1")
		}
		return netip.MustParseAddr("169.254.169.254")
	})
	e := httpparticipant.NewEgress(httpparticipant.EgressConfig{Resolver: resolver})
	defer e.Close()
	c, err := httpparticipant.New(httpparticipant.Config{BaseURL: fmt.Sprintf("http://stock.test:%d", port), Egress: e, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if a := c.Invoke(t.Context(), someCall()); a.Class != participant.Done {
		t.Fatalf("the first time it is %s (%s), want done", a.Class, a.Detail)
	}
	if a := c.Invoke(t.Context(), someCall()); a.Class != participant.Unknown || !strings.Contains(a.Detail, "169.254.169.254 is link-local") {
		t.Errorf("the second time it is %s (%s), want not called", a.Class, a.Detail)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var hits atomic.Int32
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer target.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{target.URL, "http://169.254.169.254/latest/meta-data/", "//169.254.169.254/", "file:///etc/passwd"} {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", to)
				w.WriteHeader(status)
			}))
			a, err := callAt(t, httpparticipant.EgressConfig{}, server.URL)
			if err != nil || a.Class != participant.Unknown || !strings.Contains(a.Detail, "redirects are not followed") {
				t.Errorf("%d to %s: %s (%s), %v", status, to, a.Class, a.Detail, err)
			}
			server.Close()
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("the target was called %d times", n)
	}
}

func TestProxiesOfTheEnvironmentAreNotUsed(t *testing.T) {
	var hits atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer proxy.Close()
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("7")) }))
	defer server.Close()
	port := netip.MustParseAddrPort(server.Listener.Addr().String()).Port()
	resolver := namesAre(t, func(string) netip.Addr { return netip.MustParseAddr("127.0.0.1") })
	a, err := callAt(t, httpparticipant.EgressConfig{Resolver: resolver}, fmt.Sprintf("http://stock.test:%d", port))
	if err != nil || a.Class != participant.Done || hits.Load() != 0 {
		t.Errorf("%s (%s), %v, and the proxy was called %d times", a.Class, a.Detail, err, hits.Load())
	}
}

// namesAre returns a resolver that asks a name server of the test's own.
func namesAre(t *testing.T, address func(name string) netip.Addr) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	go func() {
		query := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(query)
			if err != nil {
				return
			}
			if answer := dnsAnswer(query[:n], address); answer != nil {
				_, _ = server.WriteTo(answer, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// dnsAnswer answers one question as RFC 1035 says: an address to a question of type A, nothing to others.
func dnsAnswer(query []byte, address func(name string) netip.Addr) []byte {
	var labels []string
	at := 12
	for at < len(query) && query[at] != 0 {
		end := at + 1 + int(query[at])
		if end > len(query) {
			return nil
		}
		labels = append(labels, string(query[at+1:end]))
		at = end
	}
	if at+5 > len(query) {
		return nil
	}
	question := query[12 : at+5]
	answer := append([]byte{}, query[:2]...)
	answer = append(answer, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0)
	answer = append(answer, question...)
	if binary.BigEndian.Uint16(query[at+1:]) == 1 {
		ip := address(strings.Join(labels, ".")).As4()
		answer[7] = 1
		answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		answer = append(answer, ip[:]...)
	}
	return answer
}

// Whoever keeps addresses is told of numbers; names are looked at when they are called, and with a socket nothing goes anywhere else.
func TestAddressesThatMayBeCalledAreAllowed(t *testing.T) {
	inward, outward := httpparticipant.EgressConfig{}, httpparticipant.EgressConfig{NoLoopback: true, NoPrivate: true}
	for _, x := range []struct {
		way     httpparticipant.EgressConfig
		address string
		allowed bool
	}{
		{inward, "http://127.0.0.1:9001", true}, {inward, "http://[::1]:9001/path", true}, {inward, "http://10.1.2.3", true}, {inward, "http://stock.test", true}, {inward, "https://93.184.215.14", true},
		{outward, "http://127.0.0.1:9001", false}, {outward, "http://[::1]:9001", false}, {outward, "http://10.1.2.3", false}, {outward, "http://localhost", true}, {outward, "https://93.184.215.14", true},
		{httpparticipant.EgressConfig{Socket: "/run/stock.sock"}, "http://169.254.169.254", true},
	} {
		if err := httpparticipant.NewEgress(x.way).Allows(x.address); (err == nil) != x.allowed {
			t.Errorf("%s under %+v: %v", x.address, x.way, err)
		}
	}
}
