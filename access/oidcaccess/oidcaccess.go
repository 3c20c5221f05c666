// Package oidcaccess knows people and programs by the tokens of an OpenID Connect issuer: a JWT that the issuer signed for this audience, and that is in force. What a token may do here follows from its
// claims, by rules of the operator's, never from what it says of roles by itself.
//
// It keeps no token and asks the issuer about none, so a token is good until it expires, whatever the issuer has thought of since: let them be short-lived.
package oidcaccess

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/skaldhq/skald/access"
)

// Grant says what those may do whose token has a value in a claim. A claim is a text or a list of texts, such as groups.
type Grant struct {
	Claim     string
	Value     string
	Role      access.Role
	Namespace string // access.Everywhere for all
}

// Config says whose tokens are taken.
type Config struct {
	// Issuer is the issuer's address, as it stands in its tokens and below which it says where its keys are: with https, as OpenID Connect Discovery demands, or on this machine's loopback interface. Required.
	Issuer string
	// Audience is what tokens for this program are made out to: the client id, at most issuers. Required.
	Audience string
	// Grants are looked at in their order; the first that fits counts. A token that none fits opens nothing. Required.
	Grants []Grant
	// NameClaim is who decided, in journals and in the audit log; "email", and where that is missing or not verified, "sub".
	NameClaim string
	// Client asks the issuer. Give one that checks where it connects to, such as that of httpparticipant.Egress. Required.
	Client *http.Client
	// Pause lies at least between two times that the issuer is asked for the same, so that tokens with made-up keys are no way to flood it; 10 s.
	Pause time.Duration
}

// Verifier takes tokens of one issuer. It implements access.Authenticator.
type Verifier struct {
	Config
	client *http.Client

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier // nil until the issuer has said where its keys are
}

var _ access.Authenticator = (*Verifier)(nil)

// maxToken bounds what is looked at, in bytes.
const maxToken = 16 << 10

// New makes a verifier. It asks the issuer when the first token comes: an issuer that is away for a moment keeps nothing from starting. The error lists everything that is wrong with the configuration.
func New(c Config) (*Verifier, error) {
	var faults []error
	if c.Issuer == "" || c.Audience == "" {
		faults = append(faults, errors.New("give the issuer's address, and the audience that its tokens for this program have"))
	}
	if c.Issuer != "" && !guarded(c.Issuer) {
		faults = append(faults, fmt.Errorf("the issuer's address is %s: give one with https, since whoever is on the way of its keys could sign tokens", c.Issuer))
	}
	if c.Client == nil {
		faults = append(faults, errors.New("give a Client that asks the issuer"))
	}
	if len(c.Grants) == 0 {
		faults = append(faults, errors.New("give at least one Grant: without, no token opens anything"))
	}
	for i, g := range c.Grants {
		if g.Claim == "" || g.Value == "" || g.Role == access.None || g.Role > access.Admin {
			faults = append(faults, fmt.Errorf("grant %d: give claim, value and role", i+1))
		}
		if err := access.CheckNamespace(g.Namespace); err != nil {
			faults = append(faults, fmt.Errorf("grant %d: %w", i+1, err))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("oidcaccess: %w", err)
	}
	spared := *c.Client
	spared.Transport = &sparing{next: spared.Transport, pause: cmp.Or(c.Pause, 10*time.Second), last: map[string]time.Time{}}
	if spared.Timeout == 0 {
		spared.Timeout = 10 * time.Second
	}
	return &Verifier{Config: c, client: &spared}, nil
}

// guarded says whether nobody can come between this program and an issuer.
func guarded(issuer string) bool {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && access.ThisMachine(u.Hostname())
}

// Authenticate implements access.Authenticator, for tokens.
func (v *Verifier) Authenticate(ctx context.Context, credential string) (access.Identity, error) {
	if strings.Count(credential, ".") != 2 || len(credential) > maxToken {
		return access.Identity{}, access.ErrUnknown
	}
	verifier, err := v.ready(ctx)
	if err != nil {
		return access.Identity{}, fmt.Errorf("oidcaccess: the issuer %s cannot be asked for its keys: %w", v.Issuer, err)
	}
	token, err := verifier.Verify(ctx, credential)
	if err != nil {
		return access.Identity{}, fmt.Errorf("%w: the token is not in force here, or not signed by %s", access.ErrUnknown, v.Issuer)
	}
	claims := map[string]json.RawMessage{}
	if err := token.Claims(&claims); err != nil {
		return access.Identity{}, fmt.Errorf("%w: the token cannot be read", access.ErrUnknown)
	}
	return v.identity(token.Subject, claims)
}

// identity is who has claims that are true, by the first grant that fits.
func (v *Verifier) identity(subject string, claims map[string]json.RawMessage) (access.Identity, error) {
	name := v.name(subject, claims)
	if name == "" { // whoever has no name could decide under that of somebody else
		return access.Identity{}, fmt.Errorf("%w: the token does not say whose it is", access.ErrUnknown)
	}
	for _, g := range v.Grants {
		if slices.Contains(texts(claims[g.Claim]), g.Value) {
			return access.Identity{Name: name, Role: g.Role, Namespace: g.Namespace, Credential: "token of " + v.Issuer}, nil
		}
	}
	return access.Identity{}, &grantless{v.Issuer}
}

// grantless says that nobody is known by a token although there is nothing wrong with it.
type grantless struct{ issuer string }

func (e *grantless) Error() string {
	return "the token is good, and grants nothing here: ask an administrator of " + e.issuer + " for a group or role that does"
}

// Is says that the one who asks is not known.
func (e *grantless) Is(target error) bool { return target == access.ErrUnknown }

// ready is what verifies tokens, once the issuer has said where its keys are.
func (v *Verifier) ready(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.verifier != nil {
		return v.verifier, nil
	}
	// The keys are asked for as long as the verifier lives, and not only for as long as this request does.
	provider, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), v.client), v.Issuer)
	if err != nil {
		return nil, err
	}
	v.verifier = provider.Verifier(&oidc.Config{ClientID: v.Audience, SupportedSigningAlgs: []string{ // asymmetric ones only, whatever the issuer says
		oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}})
	return v.verifier, nil
}

// name is who the token is about. Journals and the audit log keep it, so it has nothing that would look like something else there.
func (v *Verifier) name(subject string, claims map[string]json.RawMessage) string {
	claim := cmp.Or(v.NameClaim, "email")
	name := append(texts(claims[claim]), "")[0]
	if claim == "email" && string(claims["email_verified"]) != "true" {
		name = ""
	}
	return cmp.Or(kept(name), kept(subject))
}

// kept is as much of a name as can be kept, without control characters.
func kept(name string) string {
	name = strings.TrimSpace(strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == utf8.RuneError {
			return -1
		}
		return c
	}, name))
	for len(name) > access.MaxName {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	return name
}

// texts are the texts of a claim.
func texts(claim json.RawMessage) (all []string) {
	var one string
	if json.Unmarshal(claim, &one) == nil && one != "" {
		return []string{one}
	}
	_ = json.Unmarshal(claim, &all) // a claim of another form is none
	return all
}

// sparing asks for the same address at most once in a while.
type sparing struct {
	next  http.RoundTripper
	pause time.Duration
	mu    sync.Mutex
	last  map[string]time.Time // by address: the issuer's two
}

// errPause says that it was asked for a moment ago.
var errPause = errors.New("it was asked for a moment ago; try again shortly")

// RoundTrip implements http.RoundTripper.
func (s *sparing) RoundTrip(r *http.Request) (*http.Response, error) {
	now, address := time.Now(), r.URL.String()
	s.mu.Lock()
	soon := now.Sub(s.last[address]) < s.pause
	if !soon {
		s.last[address] = now
	}
	s.mu.Unlock()
	if soon {
		return nil, errPause
	}
	if s.next == nil {
		return http.DefaultTransport.RoundTrip(r)
	}
	return s.next.RoundTrip(r)
}
