package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/sidecar"
)

// Exit codes. They stay as they are: scripts act on them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitRefused     = 4
	exitUnreachable = 5
	exitCompensated = 6
	exitIncident    = 7
	exitNotYet      = 8
	exitForbidden   = 9
	exitFindings    = 10
	exitStopped     = 130
)

// exitCode is an exit code with what it means.
type exitCode struct {
	Code  int    `json:"code"`
	Means string `json:"means"`
}

// exitCodes are all there are.
func exitCodes() []exitCode {
	return []exitCode{
		{exitDone, "done; of start --wait, wait and watch: the saga completed"},
		{exitFailed, "it failed, at the server or here; of several sagas, some failed"},
		{exitUsage, "flags, files or inputs are wrong: mend them, and try again"},
		{exitNotFound, "there is no such saga, definition, participant, webhook, dead letter or key"},
		{exitRefused, "it does not fit: the saga has ended, passed its point of no return, or its id stands for another input"},
		{exitUnreachable, "no answer, or the server is stopping or has no room: try again later"},
		{exitCompensated, "of start --wait, wait and watch: the saga was compensated"},
		{exitIncident, "of start --wait and wait: the saga needs help; of incidents: there are some"},
		{exitNotYet, "of start --wait and wait: no outcome within --timeout"},
		{exitForbidden, "the server does not know who you are, or you may not do this"},
		{exitFindings, "of vet and diff: something was found in files and definitions that could be read"},
		{exitStopped, "you stopped it (Ctrl-C)"},
	}
}

// coded is an error with an exit code of its own. An error without text is told by the code alone.
type coded struct {
	code int
	err  error
}

func (c *coded) Error() string {
	if c.err == nil {
		return ""
	}
	return c.err.Error()
}

func (c *coded) Unwrap() error { return c.err }

// ends is an end that is no success, and of which everything was said already.
func ends(code int) error { return &coded{code: code} }

func usage(err error) error { return &coded{exitUsage, err} }

// codeOf is the exit code of an error.
func codeOf(err error) int {
	var c *coded
	var p *httpapi.Problem
	var overload *skald.OverloadError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &c):
		return c.code
	case errors.Is(err, sidecar.ErrUsage):
		return exitUsage
	case errors.Is(err, context.Canceled):
		return exitStopped
	case misaddressed(err) != "":
		return exitUsage
	case errors.As(err, &overload), unreachable(err):
		return exitUnreachable
	case errors.Is(err, skald.ErrNotFound), errors.Is(err, skald.ErrDefinition), errors.Is(err, broker.ErrNotFound), errors.Is(err, access.ErrNoKey):
		return exitNotFound
	case errors.As(err, &p):
		return codeOfStatus(p.Status)
	}
	return exitFailed
}

func codeOfStatus(status int) int {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitForbidden
	case http.StatusNotFound, http.StatusGone:
		return exitNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return exitRefused
	case http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusGatewayTimeout:
		return exitUnreachable
	case http.StatusInternalServerError:
		return exitFailed
	}
	return exitUsage
}

// unreachable says whether nobody answered.
func unreachable(err error) bool {
	var asked *url.Error
	return errors.As(err, &asked) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, httpapi.ErrForeign)
}

// misaddressed says what is wrong, with its mend, if something answers and is not talked to as it is addressed; otherwise nothing. To try again does not help.
func misaddressed(err error) string {
	var untrusted *tls.CertificateVerificationError
	var stranger x509.UnknownAuthorityError
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		return "it answers without encryption\nWrite the address with http:// if that is Skald."
	case !errors.As(err, &untrusted):
		return ""
	case errors.As(err, &stranger):
		return "its certificate is not trusted: " + untrusted.Err.Error() + "\nName the CA that signed it with --ca or SKALD_CA, if it is one of your own."
	}
	return "its certificate is not trusted: " + untrusted.Err.Error() + "\nWrite the address as the certificate has it, or renew the certificate at the server."
}

// failure is an error as --json prints it.
type failure struct {
	Error   string           `json:"error"`
	Exit    int              `json:"exit"`
	Problem *httpapi.Problem `json:"problem,omitempty"` // if the server said it
}

// end says what went wrong, and returns the exit code.
func (w *world) end(err error, asJSON bool) int {
	code := codeOf(err)
	if w.ctx.Err() != nil && code != exitDone {
		return exitStopped
	}
	if err == nil || err.Error() == "" {
		return code
	}
	if asJSON {
		f := failure{Error: outside(err.Error()), Exit: code}
		errors.As(err, &f.Problem)
		stderr := *w
		stderr.stdout = w.stderr
		_ = printJSON(&stderr, f) // nobody is left to tell
		return code
	}
	to := terminal.New(w.stderr, w.environment)
	to.Line("%s %s", terminal.Bad.On("skald:"), message(err))
	return code
}

// message is an error for people.
func message(err error) string {
	var p *httpapi.Problem
	if !errors.As(err, &p) {
		var asked *url.Error
		if errors.As(err, &asked) {
			at := asked.URL
			if u, err := url.Parse(asked.URL); err == nil {
				at = u.Scheme + "://" + u.Host
			}
			if wrong := misaddressed(err); wrong != "" {
				return at + ": " + wrong
			}
			return "nobody answers at " + at + ": " + asked.Err.Error() + "\nStart a server with \"skald serve\", or say where one is with --address or SKALD_ADDRESS."
		}
		return outside(err.Error())
	}
	text := p.Title + ": " + strings.Join(p.Says(), "\n  ")
	if p.Status == http.StatusUnauthorized {
		text += "\nGive a key that is in force with --token-file or " + tokenVariable + "; \"skald keys create\", beside the server, makes one."
	}
	return text
}

// outside is an error of a package without the package's name before it, which says nothing to those who run a program.
func outside(text string) string {
	for _, name := range []string{"access", "console", "declarative", "embedded", "httpapi", "httpparticipant", "journal", "metrics", "natsbroker", "oidcaccess", "skald", "sqliteaccess", "sqlparticipant", "sqlitestore", "sqlitewebhook", "store"} {
		text = strings.TrimPrefix(text, name+": ")
		text = strings.ReplaceAll(text, " "+name+": ", " ")
	}
	return text
}
