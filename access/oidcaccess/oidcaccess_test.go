package oidcaccess_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/access/oidcaccess"
	"github.com/skaldhq/skald/internal/waits"
)

// issuer is an OpenID Connect issuer on the loopback interface, with keys that can be changed.
type issuer struct {
	*httptest.Server
	mu     sync.Mutex
	keys   []jose.JSONWebKey // the first signs
	asked  atomic.Int32      // how often for its keys
	absent atomic.Bool
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"authorization_endpoint":"x","token_endpoint":"x","id_token_signing_alg_values_supported":["HS256","none","ES256","RS256"]}`, i.URL, i.URL+"/keys")
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		i.asked.Add(1)
		i.mu.Lock()
		defer i.mu.Unlock()
		set := jose.JSONWebKeySet{}
		for _, k := range i.keys {
			set.Keys = append(set.Keys, k.Public())
		}
		_ = json.NewEncoder(w).Encode(set)
	})
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if i.absent.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(i.Close)
	i.rotate(t, "first")
	return i
}

func newKey(t *testing.T, id string) jose.JSONWebKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: k, KeyID: id, Algorithm: "ES256", Use: "sig"}
}

// rotate makes the issuer sign with a new key, and forget the others.
func (i *issuer) rotate(t *testing.T, id string) {
	t.Helper()
	k := newKey(t, id)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = []jose.JSONWebKey{k}
}

func (i *issuer) key() jose.JSONWebKey {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[0]
}

type claims = map[string]any

// token signs claims over those that a good token has. A nil value takes a claim away.
func (i *issuer) token(t *testing.T, changed claims) string {
	t.Helper()
	return sign(t, jose.ES256, i.key(), i.claims(changed))
}

func (i *issuer) claims(changed claims) claims {
	all := claims{"iss": i.URL, "aud": "skald", "sub": "u-17", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "email": "ada@example.org", "email_verified": true, "groups": []string{"staff", "sre"}}
	for name, value := range changed {
		all[name] = value
		if value == nil {
			delete(all, name)
		}
	}
	return all
}

func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, all claims) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func verifier(t *testing.T, i *issuer, pause time.Duration) *oidcaccess.Verifier {
	t.Helper()
	v, err := oidcaccess.New(oidcaccess.Config{Issuer: i.URL, Audience: "skald", Client: i.Client(), Pause: pause, Grants: []oidcaccess.Grant{
		{Claim: "groups", Value: "sre", Role: access.Admin, Namespace: access.Everywhere},
		{Claim: "groups", Value: "billing", Role: access.Operator, Namespace: "billing"},
		{Claim: "scope", Value: "skald.read", Role: access.Reader, Namespace: "default"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestATokenGrantsWhatItsFirstGrantSays(t *testing.T) {
	i := newIssuer(t)
	v := verifier(t, i, time.Nanosecond)
	credential := "token of " + i.URL
	for name, x := range map[string]struct {
		changed claims
		want    access.Identity
	}{
		"sre":                        {nil, access.Identity{Name: "ada@example.org", Role: access.Admin, Namespace: access.Everywhere, Credential: credential}},
		"billing":                    {claims{"groups": []string{"billing"}}, access.Identity{Name: "ada@example.org", Role: access.Operator, Namespace: "billing", Credential: credential}},
		"a text instead of a list":   {claims{"groups": "billing"}, access.Identity{Name: "ada@example.org", Role: access.Operator, Namespace: "billing", Credential: credential}},
		"another claim":              {claims{"groups": nil, "scope": "skald.read"}, access.Identity{Name: "ada@example.org", Role: access.Reader, Namespace: "default", Credential: credential}},
		"an address nobody verified": {claims{"email_verified": false}, access.Identity{Name: "u-17", Role: access.Admin, Namespace: access.Everywhere, Credential: credential}},
		"several audiences":          {claims{"aud": []string{"shop", "skald"}}, access.Identity{Name: "ada@example.org", Role: access.Admin, Namespace: access.Everywhere, Credential: credential}},
	} {
		if who, err := v.Authenticate(t.Context(), i.token(t, x.changed)); err != nil || who != x.want {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
	if n := i.asked.Load(); n != 1 {
		t.Errorf("the issuer was asked for its keys %d times: they are to be kept", n)
	}
}

func TestATokenThatIsNotInForceOpensNothing(t *testing.T) {
	i := newIssuer(t)
	v := verifier(t, i, time.Nanosecond)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signing := i.key()
	public, err := x509.MarshalPKIXPublicKey(signing.Public().Key)
	if err != nil {
		t.Fatal(err)
	}
	good := i.token(t, nil)
	parts := strings.Split(good, ".")
	encode := base64.RawURLEncoding.EncodeToString
	admin, err := json.Marshal(i.claims(claims{"sub": "mallory"}))
	if err != nil {
		t.Fatal(err)
	}
	other := newKey(t, "first") // of the same name as the issuer's
	for name, token := range map[string]string{
		"another issuer":             i.token(t, claims{"iss": "https://evil.example"}),
		"another audience":           i.token(t, claims{"aud": "shop"}),
		"no audience":                i.token(t, claims{"aud": nil}),
		"expired":                    i.token(t, claims{"exp": time.Now().Add(-time.Second).Unix()}),
		"without an end":             i.token(t, claims{"exp": nil}),
		"not yet":                    i.token(t, claims{"nbf": time.Now().Add(time.Hour).Unix()}),
		"no grant":                   i.token(t, claims{"groups": []string{"sr", "sre2"}}),
		"groups of other form":       i.token(t, claims{"groups": claims{"sre": true}}),
		"unsigned":                   encode([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".",
		"signature taken off":        parts[0] + "." + parts[1] + ".",
		"claims changed":             parts[0] + "." + encode(admin) + "." + parts[2],
		"the public key as a secret": sign(t, jose.HS256, jose.JSONWebKey{Key: public, KeyID: "first"}, i.claims(nil)),
		"a key of somebody else":     sign(t, jose.ES256, other, i.claims(nil)),
		"an unknown key":             sign(t, jose.RS256, jose.JSONWebKey{Key: rsaKey, KeyID: "unknown"}, i.claims(nil)),
		"nonsense":                   "a.b.c", "two parts": "a.b", "empty": "..", "an API key": "skald_abcdefgh_ABC", "far too long": strings.Repeat("a", 20_000) + ".b.c",
	} {
		if who, err := v.Authenticate(t.Context(), token); !errors.Is(err, access.ErrUnknown) || who != (access.Identity{}) {
			t.Errorf("%s: %+v, %v", name, who, err)
		} else if strings.Contains(err.Error(), parts[1]) {
			t.Errorf("%s: the error has the token: %v", name, err)
		}
	}
	if _, err := v.Authenticate(t.Context(), i.token(t, claims{"groups": []string{"guests"}})); err == nil || !strings.HasPrefix(err.Error(), "the token is good, and grants nothing here: ask an administrator of ") {
		t.Errorf("a good token without a grant is told %v", err)
	}
	if _, err := v.Authenticate(t.Context(), good); err != nil {
		t.Errorf("and the good one: %v", err)
	}
}

func TestKeysAreRotated(t *testing.T) {
	i := newIssuer(t)
	v := verifier(t, i, time.Nanosecond)
	if _, err := v.Authenticate(t.Context(), i.token(t, nil)); err != nil {
		t.Fatal(err)
	}
	old := i.token(t, nil)
	i.rotate(t, "second")
	waits.Until(t, 20*time.Second, "a token of the new key opens", func() bool { // who asks while the first answer is still being taken in gets that one's keys
		_, err := v.Authenticate(t.Context(), i.token(t, nil))
		return err == nil
	})
	waits.Until(t, 20*time.Second, "a token of the key that is gone is refused", func() bool { // the answer goes to who waits for it before it takes the place of the old keys
		_, err := v.Authenticate(t.Context(), old)
		return errors.Is(err, access.ErrUnknown)
	})
}

func TestMadeUpKeysDoNotFloodTheIssuer(t *testing.T) {
	i := newIssuer(t)
	v := verifier(t, i, time.Hour)
	for n := range 50 {
		if _, err := v.Authenticate(t.Context(), sign(t, jose.ES256, newKey(t, fmt.Sprint("k", n)), i.claims(nil))); !errors.Is(err, access.ErrUnknown) {
			t.Fatal(err)
		}
	}
	if n := i.asked.Load(); n != 1 {
		t.Errorf("the issuer was asked for its keys %d times", n)
	}
	if _, err := v.Authenticate(t.Context(), i.token(t, nil)); err != nil {
		t.Errorf("a good token meanwhile: %v", err)
	}
}

func TestAnIssuerThatIsAwayIsAskedAgain(t *testing.T) {
	i := newIssuer(t)
	v := verifier(t, i, time.Nanosecond)
	i.absent.Store(true)
	if _, err := v.Authenticate(t.Context(), i.token(t, nil)); err == nil || errors.Is(err, access.ErrUnknown) {
		t.Errorf("while it is away: %v: whose the token is is not known now, which is not that it is nobody's", err)
	}
	i.absent.Store(false)
	if _, err := v.Authenticate(t.Context(), i.token(t, nil)); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}

func TestAConfigurationThatOpensNothingSaysEveryFault(t *testing.T) {
	_, err := oidcaccess.New(oidcaccess.Config{Grants: []oidcaccess.Grant{{Claim: "groups", Namespace: "a.b"}}})
	for _, fault := range []string{"issuer's address", "Client", "grant 1: give claim, value and role", "grant 1: the namespace"} {
		if err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%v does not say %q", err, fault)
		}
	}
	for issuer, want := range map[string]bool{
		"https://login.example.org": true, "http://localhost:9400": true, "http://[::1]:9400/realm": true,
		"http://login.example.org": false, "http://10.9.9.9": false, "http://localhost.example.org": false, "login.example.org": false, "ftp://localhost": false,
	} {
		_, err := oidcaccess.New(oidcaccess.Config{Issuer: issuer, Audience: "skald", Client: http.DefaultClient, Grants: []oidcaccess.Grant{{Claim: "groups", Value: "sre", Role: access.Reader, Namespace: "default"}}})
		if (err == nil) != want || err != nil && !strings.Contains(err.Error(), "give one with https") {
			t.Errorf("%s: %v, want it taken: %v", issuer, err, want)
		}
	}
	if _, err = oidcaccess.New(oidcaccess.Config{}); err == nil || !strings.Contains(err.Error(), "at least one Grant") {
		t.Error(err)
	}
}
