package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/access/oidcaccess"
	"github.com/skaldhq/skald/access/sqliteaccess"
	"github.com/skaldhq/skald/participant/httpparticipant"
)

// guardFlags say who may reach a server, and how.
type guardFlags struct {
	Access         bool     `help:"Ask everybody who they are, and keep an audit log. Make the first key with skald keys create." env:"SKALD_ACCESS"`
	Cert           string   `help:"The server's certificate (PEM)." env:"SKALD_CERT" placeholder:"FILE" type:"path"`
	Key            string   `help:"The certificate's private key." env:"SKALD_KEY" placeholder:"FILE" type:"path"`
	BehindTLSProxy bool     `name:"behind-tls-proxy" help:"A proxy with TLS stands in front, and nobody reaches this program otherwise." env:"SKALD_BEHIND_TLS_PROXY"`
	OIDCIssuer     string   `name:"oidc-issuer" help:"OpenID Connect issuer whose tokens are taken, too; with https, or on this machine." env:"SKALD_OIDC_ISSUER" placeholder:"URL"`
	OIDCAudience   string   `name:"oidc-audience" help:"What its tokens for this program are made out to." env:"SKALD_OIDC_AUDIENCE" placeholder:"NAME"`
	OIDCGrant      []string `name:"oidc-grant" help:"What a token may do: groups=sre:admin:* for those with sre in the claim groups. The first that fits counts." env:"SKALD_OIDC_GRANT" placeholder:"CLAIM=VALUE:ROLE:NAMESPACE"`
}

// accessFile is where keys and audit log are, in the folder of the data.
const accessFile = "access.db"

// listen opens the port, if whoever reaches it is asked who they are and hidden from others, or comes from this machine.
func (g *guardFlags) listen(ctx context.Context, address string) (net.Listener, *tls.Config, error) {
	var encrypts *tls.Config
	var err error
	if g.Cert != "" || g.Key != "" {
		if encrypts, err = (access.Certificates{Cert: g.Cert, Key: g.Key}).Server(); err != nil {
			return nil, nil, usage(fmt.Errorf("--cert, --key: %w", err))
		}
	}
	at := access.Listening{Address: address, Authenticated: g.Access, TLS: encrypts != nil, BehindProxy: g.BehindTLSProxy}
	if err := at.Check(); err != nil {
		return nil, nil, usage(fmt.Errorf("--listen: %w (--access; --cert and --key, or --behind-tls-proxy)", err))
	}
	l, err := at.Listen(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("--listen: %w", err)
	}
	return l, encrypts, nil
}

// open opens the door, and the store of keys and changes; both are nil without access control.
func (g *guardFlags) open(ctx context.Context, data string, log *slog.Logger) (*access.Door, *sqliteaccess.Store, error) {
	if !g.Access {
		if g.OIDCIssuer != "" {
			return nil, nil, usage(errors.New("--oidc-issuer is of no use without --access"))
		}
		return nil, nil, nil //nolint:nilnil // nobody is asked
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, nil, err
	}
	store, err := sqliteaccess.Open(ctx, sqliteaccess.Config{Path: filepath.Join(data, accessFile), Logger: log})
	if err != nil {
		return nil, nil, err
	}
	door := &access.Door{Knows: []access.Authenticator{store}, Sessions: access.NewSessions(g.Cert != "" || g.BehindTLSProxy, 0)}
	if g.OIDCIssuer != "" {
		tokens, err := g.issuer()
		if err != nil {
			return nil, nil, errors.Join(usage(fmt.Errorf("--oidc-issuer: %w (--oidc-audience, --oidc-grant)", err)), store.Close())
		}
		door.Knows = append(door.Knows, tokens)
	}
	return door, store, nil
}

// issuer takes tokens.
func (g *guardFlags) issuer() (*oidcaccess.Verifier, error) {
	c := oidcaccess.Config{Issuer: g.OIDCIssuer, Audience: g.OIDCAudience, Client: httpparticipant.NewEgress(httpparticipant.EgressConfig{}).Client(10 * time.Second)}
	for _, text := range g.OIDCGrant {
		claim, rest, _ := strings.Cut(text, "=")
		parts := strings.Split(rest, ":")
		if len(parts) < 3 {
			return nil, fmt.Errorf("--oidc-grant=%s: write it as groups=sre:admin:*", text)
		}
		n := len(parts)
		grant := oidcaccess.Grant{Claim: claim, Value: strings.Join(parts[:n-2], ":"), Namespace: parts[n-1]}
		if err := grant.Role.UnmarshalText([]byte(parts[n-2])); err != nil {
			return nil, fmt.Errorf("--oidc-grant=%s: %w", text, err)
		}
		c.Grants = append(c.Grants, grant)
	}
	return oidcaccess.New(c)
}

// around is what everything that is served stands behind: without access control, only who asks for this machine by its own name.
func (g *guardFlags) around(h http.Handler) http.Handler {
	if g.Access {
		return h
	}
	return access.Local(h)
}
