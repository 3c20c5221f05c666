package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// guests are known by their names.
type guests map[string]Identity

func (g guests) Authenticate(_ context.Context, credential string) (Identity, error) {
	if who, ok := g[credential]; ok {
		return who, nil
	}
	return Identity{}, ErrUnknown
}

// deaf cannot tell now.
type deaf struct{}

var errDeaf = errors.New("the issuer cannot be reached")

func (deaf) Authenticate(context.Context, string) (Identity, error) { return Identity{}, errDeaf }

func request(t *testing.T, heads ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	for _, h := range heads {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func TestTheDoorAsksOneAfterTheOther(t *testing.T) {
	ada := Identity{Name: "ada", Role: Operator, Namespace: "billing"}
	d := &Door{Knows: []Authenticator{guests{"nothing": {Name: "nobody", Namespace: "billing"}, "nowhere": {Name: "nobody", Role: Admin}}, guests{"k": ada}}}
	for head, want := range map[string]bool{
		"Authorization: Bearer k": true, "Authorization: bearer k": true, "Authorization: Bearer  k ": true,
		"Authorization: Bearer": false, "Authorization: k": false, "Authorization: Basic k": false, "Authorization: Bearer x": false, "X-Key: k": false,
		"Authorization: Bearer nothing": false, // an identity without a role, or a namespace, is none
		"Authorization: Bearer nowhere": false,
	} {
		who, err := d.Identify(request(t, head))
		if want != (err == nil) || want && who != ada {
			t.Errorf("%s: %+v, %v", head, who, err)
		}
	}
	if _, err := d.Identify(request(t, "Authorization: Bearer k", "Authorization: Bearer x")); !errors.Is(err, ErrUnknown) {
		t.Errorf("two credentials: %v", err)
	}
	d.Knows = append([]Authenticator{deaf{}}, d.Knows...)
	if who, err := d.Identify(request(t, "Authorization: Bearer k")); err != nil || who != ada {
		t.Errorf("while one cannot tell: %+v, %v", who, err)
	}
	if _, err := d.Identify(request(t, "Authorization: Bearer x")); !errors.Is(err, errDeaf) || !errors.Is(err, ErrUnsure) {
		t.Errorf("nobody knows it and one cannot tell: %v", err)
	}
}

func TestASessionStandsInForItsCredentialUntilItEnds(t *testing.T) {
	now := time.Now()
	s := NewSessions(true, time.Hour)
	s.now = func() time.Time { return now }
	g := guests{"k": {Name: "ada", Role: Reader, Namespace: Everywhere}}
	d := &Door{Knows: []Authenticator{g}, Sessions: s}
	c := s.Open("k")
	if c.Name != "__Host-skald" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 3600 {
		t.Errorf("the cookie is %v", c)
	}
	cookie := "Cookie: " + c.Name + "=" + c.Value
	if who, err := d.Identify(request(t, cookie)); err != nil || who.Name != "ada" {
		t.Errorf("%+v, %v", who, err)
	}
	if _, err := d.Identify(request(t, "Cookie: skald="+c.Value)); err == nil {
		t.Error("the name without __Host- does, too")
	}
	if _, err := d.Identify(request(t, cookie, "Authorization: Bearer x")); err == nil {
		t.Error("a credential that is not known is overlooked for the cookie")
	}
	now = now.Add(time.Hour)
	if _, err := d.Identify(request(t, cookie)); err == nil {
		t.Error("it is over and goes on")
	}
	c = s.Open("k")
	cookie = "Cookie: " + c.Name + "=" + c.Value
	delete(g, "k")
	if _, err := d.Identify(request(t, cookie)); !errors.Is(err, ErrUnknown) {
		t.Errorf("its key is gone: %v", err)
	}
	g["k"] = Identity{Name: "ada", Role: Reader, Namespace: Everywhere}
	if gone := s.End(request(t, cookie)); gone.MaxAge >= 0 || gone.Value != "" {
		t.Errorf("the browser is told %v", gone)
	}
	if _, err := d.Identify(request(t, cookie)); err == nil {
		t.Error("it was ended and goes on")
	}
}

func TestSessionsAreBounded(t *testing.T) {
	now := time.Now()
	s := NewSessions(false, time.Hour)
	s.now = func() time.Time { return now }
	first := s.Open("k")
	for i := range maxSessions {
		now = now.Add(time.Microsecond)
		s.Open(fmt.Sprint(i))
	}
	if n := len(s.open); n != maxSessions {
		t.Errorf("%d are open", n)
	}
	if _, ok := s.credential(request(t, "Cookie: skald="+first.Value)); ok {
		t.Error("the one that ends first did not make room")
	}
}

func TestRolesAreOrderedAndNamed(t *testing.T) {
	for _, role := range []Role{Reader, Operator, Admin} {
		text, err := role.MarshalText()
		var back Role
		if err != nil || back.UnmarshalText(text) != nil || back != role || role <= None {
			t.Errorf("%s: %v, %v", text, back, err)
		}
	}
	var r Role
	for _, text := range []string{"", "none", "root", "Admin", "role(7)"} {
		if err := r.UnmarshalText([]byte(text)); err == nil || r != None {
			t.Errorf("%q is %s", text, r)
		}
	}
}

func TestWhoSeesWhat(t *testing.T) {
	for _, x := range []struct {
		namespace, definition string
		sees                  bool
	}{
		{"billing", "billing.refund", true}, {"billing", "refund", false}, {"billing", "billings.refund", false}, {"billing", "billing", false}, {"default", "refund", true}, {"default", "billing.refund", false},
		{Everywhere, "billing.refund", true}, {Everywhere, "", true}, {"", "refund", false}, {"", ".refund", false}, {"bill", "billing.refund", false},
	} {
		if got := (Identity{Namespace: x.namespace}).Sees(x.definition); got != x.sees {
			t.Errorf("%q sees %q: %t", x.namespace, x.definition, got)
		}
	}
}
