package access_test

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/skaldhq/skald/access"
)

// addresses that other machines can reach, in every form in which somebody may write one.
func reachable() []string {
	return []string{
		"0.0.0.0:8080", "[::]:8080", ":8080", "*:8080", "0:8080", "[::ffff:0.0.0.0]:8080", "192.0.2.1:8080", "10.0.0.1:8080", "169.254.1.1:8080", "[2001:db8::1]:8080", "[fe80::1%lo]:8080", "[::ffff:192.0.2.1]:8080",
		"128.0.0.1:8080", "example.org:8080", "localhost.example.org:8080", "skald:8080", "0177.0.0.1:8080", "127.1:8080", "2130706433:8080", "LOCALHOST.:8080", "[::127.0.0.1]:8080",
	}
}

func TestOtherMachinesAreNotServedUnguarded(t *testing.T) {
	for _, address := range reachable() {
		for _, x := range []struct {
			authenticated, tls, proxy bool
			missing                   string // empty: it may
		}{
			{false, false, false, "who they are or encrypts"}, {false, true, false, "who they are"}, {false, false, true, "who they are"}, {true, false, false, "in the clear"},
			{true, true, false, ""}, {true, false, true, ""},
		} {
			err := access.Listening{Address: address, Authenticated: x.authenticated, TLS: x.tls, BehindProxy: x.proxy}.Check()
			if x.missing == "" && err != nil || x.missing != "" && (err == nil || !strings.Contains(err.Error(), x.missing) || !strings.Contains(err.Error(), "listen on 127.0.0.1:8080")) {
				t.Errorf("%q, %+v: %v", address, x, err)
			}
		}
	}
}

func TestLoopbackIsServedAsItIs(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "127.0.0.2:0", "localhost:0", "[::1]:0", "[::ffff:127.0.0.1]:0"} {
		if err := (access.Listening{Address: address}).Check(); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	l, err := access.Listening{Address: "127.0.0.1:0"}.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := (access.Listening{Address: l.Addr().String()}).Listen(t.Context()); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "choose another port") {
		t.Errorf("a port in use gives %v", err)
	}
}

func TestAnAddressThatIsNoneSaysTheForm(t *testing.T) {
	for _, address := range []string{"", "nonsense", "127.0.0.1", "8080", "::1", "[::1]"} {
		if err := (access.Listening{Address: address}).Check(); err == nil || !strings.Contains(err.Error(), "127.0.0.1:8080") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// A guarded program may listen anywhere; an unguarded one opens no port where others come.
func TestListenOpensNothingThatCheckRefuses(t *testing.T) {
	if l, err := (access.Listening{Address: "0.0.0.0:0"}).Listen(t.Context()); err == nil {
		l.Close()
		t.Error("it listens for everybody")
	}
	l, err := access.Listening{Address: "127.0.0.1:0", Authenticated: true, TLS: true}.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		t.Errorf("it listens on %s", l.Addr())
	}
	l.Close()
}
