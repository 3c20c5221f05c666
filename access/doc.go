// Package access says who may do what with an engine that is served: identities with a role and a namespace, the addresses that a program may listen on, sessions of browsers, and the contract of
// what keeps keys and the audit log (sqliteaccess) and of what knows people by the tokens of an issuer elsewhere (oidcaccess).
//
// It decides nothing about sagas and reads no payload. It does not hold off floods, and it protects no file: whoever can write to the data directory can change everything.
package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// ErrUnknown says that a credential belongs to nobody, now: it is mistyped, revoked or expired, or the authenticator is for other ones. Its text gives nothing of the credential away.
var ErrUnknown = errors.New("the credential is not known here, was revoked or has expired")

// ErrUnsure says that whose a credential is cannot be known now. It wraps the reason, which is for the log.
var ErrUnsure = errors.New("whose the credential is cannot be known now")

// errMissing says that a request has no credential.
var errMissing = errors.New("say who you are: send an API key or a token in the header \"Authorization: Bearer …\", or sign in with POST /v1/session")

// Authenticator knows people and programs by the credentials that they present.
type Authenticator interface {
	// Authenticate returns whose a credential is, or an error that wraps ErrUnknown; any other error says that it cannot be known now. Called concurrently, for every request.
	Authenticate(ctx context.Context, credential string) (Identity, error)
}

// Door lets requests in: by a bearer credential, or by the cookie of a session that was opened with one. It is used concurrently.
type Door struct {
	// Knows are asked one after the other until one knows the credential.
	Knows []Authenticator
	// Sessions are those of browsers. Without, there are none.
	Sessions *Sessions
}

// Identify says who makes a request.
func (d *Door) Identify(r *http.Request) (Identity, error) {
	if credential, ok := bearer(r.Header); ok {
		return d.Authenticate(r.Context(), credential)
	}
	if d.Sessions != nil {
		if credential, ok := d.Sessions.credential(r); ok {
			return d.Authenticate(r.Context(), credential)
		}
	}
	return Identity{}, errMissing
}

// Authenticate implements Authenticator, with all that the door has.
func (d *Door) Authenticate(ctx context.Context, credential string) (Identity, error) {
	var broken []error
	unknown := ErrUnknown
	for _, a := range d.Knows {
		who, err := a.Authenticate(ctx, credential)
		switch {
		case err == nil && who.Role != None && who.Namespace != "":
			return who, nil
		case errors.Is(err, ErrUnknown):
			unknown = err // the last one says most: keys are known by their form, and go first
		case err != nil:
			broken = append(broken, err)
		}
	}
	if len(broken) > 0 {
		return Identity{}, fmt.Errorf("%w: %w", ErrUnsure, errors.Join(broken...))
	}
	return Identity{}, unknown
}

// bearer reads the credential of "Authorization: Bearer …". A header that is there twice, or of another scheme, is a credential that nobody knows, rather than none.
func bearer(head http.Header) (credential string, ok bool) {
	lines := head.Values("Authorization")
	if len(lines) == 0 {
		return "", false
	}
	scheme, credential, _ := strings.Cut(lines[0], " ")
	if len(lines) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return "", true
	}
	return strings.TrimSpace(credential), true
}
