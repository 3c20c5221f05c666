package webhook

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// Endpoint is who is told. It belongs to the namespace that its name begins with, as a definition does (journal.NamespaceOf), and is told of sagas of that namespace only.
type Endpoint struct {
	Name string
	URL  string // http or https. It may hold a token: it is not for everybody's eyes
	// Definitions are the names of those whose sagas it is told of; none: only of sagas that were started with it.
	Definitions []string

	Created   time.Time
	CreatedBy string

	SecretSince    time.Time // when the secret was made that signs
	OldSecretUntil time.Time // until when the one before signs, too; zero if it does not
	Waiting        int       // deliveries to be made
	GivenUp        int       // deliveries that were given up
}

// Errors about endpoints.
var (
	ErrEndpoint   = errors.New("webhook: the endpoint cannot be registered")
	ErrNoEndpoint = errors.New("webhook: no such endpoint")
)

// Bounds of endpoints.
const (
	MaxEndpoints = 256 // of one sender
	maxURL       = 2048
	maxTold      = 256
)

// Check says what is wrong with an endpoint that somebody wrote down. The error wraps ErrEndpoint, and never has the URL.
func (e *Endpoint) Check() error {
	u, err := url.Parse(e.URL)
	switch {
	case !isName(e.Name):
		return fmt.Errorf("%w: the name %.80q is none: use up to %d letters, digits, underscores and hyphens, and a dot after the namespace", ErrEndpoint, e.Name, participant.MaxName)
	case len(e.URL) > maxURL || err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%w: give a url such as https://example.org/hooks, without a user, up to %d bytes", ErrEndpoint, maxURL)
	case len(e.Definitions) > maxTold:
		return fmt.Errorf("%w: it is told of %d definitions at most: register another one for the others", ErrEndpoint, maxTold)
	}
	for _, d := range e.Definitions {
		if !isName(d) {
			return fmt.Errorf("%w: %.80q is no definition's name", ErrEndpoint, d)
		}
		if of, own := journal.NamespaceOf(d), journal.NamespaceOf(e.Name); of != own {
			return fmt.Errorf("%w: %s is of the namespace %s and an endpoint named %s of %s: its name has to begin with %q", ErrEndpoint, d, of, e.Name, own, of+".")
		}
	}
	return nil
}

// Host is where its deliveries go, which may be shown to whoever may not see the URL.
func (e *Endpoint) Host() string {
	u, err := url.Parse(e.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// isName says whether a text can be a definition's name, or an endpoint's: both travel in paths.
func isName(s string) bool {
	return participant.CheckName(s) == "" && !strings.Contains("."+s+".", "..")
}
