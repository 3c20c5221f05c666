package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/httpapi"
)

// Remote are the flags of every command that talks to a server.
type Remote struct {
	Address       string `help:"Where Skald is served." default:"${address}" env:"SKALD_ADDRESS" group:"server"`
	CA            string `name:"ca" help:"CA of the server's certificate, if it is none of the system's (PEM)." env:"SKALD_CA" placeholder:"FILE" type:"existingfile" group:"server"`
	TokenFile     string `help:"File with the key or token that says who you are; or give it in SKALD_TOKEN." env:"SKALD_TOKEN_FILE" placeholder:"FILE" type:"existingfile" group:"server"`
	TokenOverHTTP bool   `name:"token-over-http" help:"Send the token to another machine without encryption. Who is on the way can read it." env:"SKALD_TOKEN_OVER_HTTP" group:"server"`
	Output
}

// Output are the flags of every command that prints something.
type Output struct {
	JSON bool `name:"json" help:"Print JSON, as docs/cli.md says." group:"output"`
}

// defaultAddress is where "skald serve" listens unless it is told otherwise.
const defaultAddress = "http://127.0.0.1:7433"

// tokenVariable is the environment variable with the token: on a command line everybody on the machine could read it.
const tokenVariable = "SKALD_TOKEN"

// client is a client of the server.
func (r *Remote) client(w *world) (*httpapi.Client, error) {
	token := w.getenv(tokenVariable)
	if r.TokenFile != "" {
		text, err := os.ReadFile(r.TokenFile)
		if err != nil {
			return nil, usage(err)
		}
		token = strings.TrimSpace(string(text))
	}
	if strings.ContainsAny(token, " \t\r\n") {
		return nil, usage(errors.New("the token has white space inside: give the file, or " + tokenVariable + ", nothing but the token"))
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if r.CA != "" {
		var err error
		if transport.TLSClientConfig, err = (access.Certificates{CA: r.CA}).Client(); err != nil {
			return nil, usage(fmt.Errorf("--ca: %w", err))
		}
	}
	c, err := httpapi.NewClient(httpapi.ClientConfig{Address: r.Address, HTTP: &http.Client{Transport: &bearer{transport, token}, CheckRedirect: noRedirect}})
	if err != nil {
		return nil, usage(fmt.Errorf("--address %q cannot be used; write it as %s", r.Address, defaultAddress))
	}
	if token != "" && !r.TokenOverHTTP && r.exposed() {
		return nil, usage(fmt.Errorf("whoever is on the way to %s could read the key or token: write the address with https:// (--ca names a CA of your own), or, if nobody is on the way, add --token-over-http", r.Address))
	}
	return c, nil
}

// exposed says whether what is sent leaves this machine without encryption.
func (r *Remote) exposed() bool {
	u, err := url.Parse(r.Address)
	return err != nil || u.Scheme != "https" && !access.ThisMachine(u.Hostname())
}

// noRedirect leaves redirects alone: a token is for the address that it was given for.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// bearer adds the token to requests.
type bearer struct {
	next  http.RoundTripper
	token string
}

// RoundTrip implements http.RoundTripper.
func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	return b.next.RoundTrip(r)
}

// flags are what commands that are printed for copying need to find the same server, with a space before them.
func (r *Remote) flags(w *world) string {
	known := w.getenv("SKALD_ADDRESS")
	if known == "" {
		known = defaultAddress
	}
	if r.Address == known {
		return ""
	}
	return " --address=" + r.Address
}
