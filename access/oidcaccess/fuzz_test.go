package oidcaccess_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/access/oidcaccess"
)

// FuzzClaims maps claims of all sorts: whoever gets in has a grant's role and namespace, because a claim has the grant's very value, and a name that can be kept.
func FuzzClaims(f *testing.F) {
	f.Add("sub-1", `{"groups":["sre","dev"],"email":"ada@example.org","email_verified":true}`)
	f.Add("sub-1", `{"groups":"billing","email":"ada@example.org","email_verified":"true"}`)
	f.Add("a\nb", `{"groups":["billing"],"email":"x\u0000\u202ey","email_verified":true}`)
	f.Add("", `{"groups":{"sre":true},"role":["sre"]}`)
	f.Add(strings.Repeat("ü", 200), `{"groups":["sre"],"groups":[]}`)
	grants := []oidcaccess.Grant{
		{Claim: "groups", Value: "sre", Role: access.Admin, Namespace: access.Everywhere},
		{Claim: "groups", Value: "billing", Role: access.Operator, Namespace: "billing"},
	}
	v, err := oidcaccess.New(oidcaccess.Config{Issuer: "https://issuer.example.org", Audience: "skald", Client: &http.Client{}, Grants: grants})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, subject, text string) {
		claims := map[string]json.RawMessage{}
		if json.Unmarshal([]byte(text), &claims) != nil {
			return // a token has been read by then
		}
		who, err := v.IdentityOf(subject, claims)
		if err != nil {
			if !errors.Is(err, access.ErrUnknown) || who != (access.Identity{}) {
				t.Errorf("%s: %+v, %v", text, who, err)
			}
			return
		}
		granted := false
		for _, g := range grants {
			granted = granted || who.Role == g.Role && who.Namespace == g.Namespace && has(claims["groups"], g.Value)
		}
		if !granted {
			t.Errorf("%s gives %+v, which no grant does", text, who)
		}
		if who.Name == "" || !utf8.ValidString(who.Name) || len(who.Name) > access.MaxName || strings.ContainsFunc(who.Name, unicode.IsControl) {
			t.Errorf("%s of %q is called %q, which cannot be kept", text, subject, who.Name)
		}
	})
}

// has says whether a claim is a text, or a list with it, however it is written.
func has(claim json.RawMessage, want string) bool {
	var value any
	if json.Unmarshal(claim, &value) != nil {
		return false
	}
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	for _, one := range list {
		if one == want {
			return true
		}
	}
	return false
}
