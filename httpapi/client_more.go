package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
)

// maxLine is the longest line of a watch: an event with its payload.
const maxLine = 8 << 20

// Watch implements skald.Client. A stream that breaks off before the outcome is an error that wraps io.ErrUnexpectedEOF: watch again, from after the last event. A server that stops ends its streams
// so, too.
func (c *Client) Watch(ctx context.Context, id skald.SagaID, after uint64, yield func(skald.Event) error) error {
	return c.Follow(ctx, id, after, func(e Event) error { return yield(e.event()) })
}

// Follow is Watch with the events as they are sent, which have the kinds that this program does not know yet, too.
func (c *Client) Follow(ctx context.Context, id skald.SagaID, after uint64, yield func(Event) error) error {
	path, err := known(id)
	if err != nil {
		return err
	}
	w, err := c.send(ctx, request{method: http.MethodGet, path: path + "/watch", query: url.Values{"after": {strconv.FormatUint(after, 10)}}})
	if err != nil {
		return err
	}
	defer w.Body.Close()
	if w.StatusCode == http.StatusNoContent {
		return nil // it has ended, and nothing came after that
	}
	err = readStream(w.Body, yield)
	var broken *brokenStream
	if errors.As(err, &broken) && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// brokenStream is a stream that ended before the outcome, rather than an error of who is told of it.
type brokenStream struct{ cause error }

func (b *brokenStream) Error() string {
	return fmt.Sprintf("the watch broke off: %s; watch again, from after the last event", b.cause)
}

func (b *brokenStream) Unwrap() error { return b.cause }

// readStream reads server-sent events until the one that says that there are no more.
func readStream(stream io.Reader, yield func(Event) error) error {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, maxLine)
	name, data := "", ""
	for lines.Scan() {
		line := lines.Text()
		if value, ok := strings.CutPrefix(line, "event: "); ok {
			name = value
		}
		if value, ok := strings.CutPrefix(line, "data: "); ok {
			data = value
		}
		if line != "" || name == "" {
			continue
		}
		if name == "end" {
			return nil
		}
		var e Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return &brokenStream{fmt.Errorf("an event cannot be read: %w", err)}
		}
		if err := yield(e); err != nil {
			return err
		}
		name, data = "", ""
	}
	if err := lines.Err(); err != nil {
		return &brokenStream{fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err)}
	}
	return &brokenStream{io.ErrUnexpectedEOF}
}

// Definitions lists the definitions that can be started.
func (c *Client) Definitions(ctx context.Context) ([]DefinitionSummary, error) {
	page, err := get[DefinitionPage](ctx, c, "/v1/definitions", nil)
	return page.Definitions, err
}

// Definition returns a definition with its graph; skald.ErrDefinition if there is none. Without a version it is the latest.
func (c *Client) Definition(ctx context.Context, name, version string) (Definition, error) {
	query := url.Values{}
	if version != "" {
		query.Set("version", version)
	}
	return get[Definition](ctx, c, "/v1/definitions/"+url.PathEscape(name), query)
}

// Bulk asks for one verb for many sagas. It is safe to repeat.
func (c *Client) Bulk(ctx context.Context, b Bulk) (BulkResult, error) {
	return post[BulkResult](ctx, c, "/v1/bulk", b)
}

// Letters lists dead letters, a page at a time, without their messages.
func (c *Client) Letters(ctx context.Context, f broker.LetterFilter) (LetterPage, error) {
	query := valuesOf(map[string]string{"state": string(f.State), "topic": f.Topic, "subscription": f.Subscription, "reason": f.Reason, "saga": f.Saga, "cursor": f.Cursor})
	if f.Limit > 0 {
		query.Set("limit", strconv.Itoa(min(f.Limit, maxPage)))
	}
	return get[LetterPage](ctx, c, "/v1/dead-letters", query)
}

// Letter returns a dead letter with its message, or broker.ErrNotFound.
func (c *Client) Letter(ctx context.Context, id string) (Letter, error) {
	return get[Letter](ctx, c, "/v1/dead-letters/"+url.PathEscape(id), nil)
}

// ReplayLetter hands a dead letter's message out again. See skald.Remediation.Replay.
func (c *Client) ReplayLetter(ctx context.Context, id, by, reason string) (Letter, error) {
	return post[Letter](ctx, c, "/v1/dead-letters/"+url.PathEscape(id)+"/replay", Decision{by, reason})
}

// CheckReplay returns the dead letter that ReplayLetter would hand out again now, or its error, and does nothing. See skald.Remediation.CheckReplay.
func (c *Client) CheckReplay(ctx context.Context, id string) (Letter, error) {
	return post[Letter](ctx, c, "/v1/dead-letters/"+url.PathEscape(id)+"/replay?dry_run=true", Decision{})
}

// CompensateLetter ends the step that was set aside, so that its saga turns back. See skald.Remediation.Compensate.
func (c *Client) CompensateLetter(ctx context.Context, id, by, reason string) (Letter, error) {
	return post[Letter](ctx, c, "/v1/dead-letters/"+url.PathEscape(id)+"/compensate", Decision{by, reason})
}

// DiscardLetter gives a dead letter up, without doing anything about its saga.
func (c *Client) DiscardLetter(ctx context.Context, id, by, reason string) (Letter, error) {
	return post[Letter](ctx, c, "/v1/dead-letters/"+url.PathEscape(id)+"/discard", Decision{by, reason})
}

// Participants lists the participants.
func (c *Client) Participants(ctx context.Context) ([]Participant, error) {
	page, err := get[ParticipantPage](ctx, c, "/v1/participants", nil)
	return page.Participants, err
}

// Activity says what was done in the last hours, of one definition or, without a name, of all. See httpapi.Activity for what it does not promise.
func (c *Client) Activity(ctx context.Context, definition string) (ActivityReport, error) {
	query := url.Values{}
	if definition != "" {
		query.Set("definition", definition)
	}
	return get[ActivityReport](ctx, c, "/v1/activity", query)
}

// Statistics says what is under way.
func (c *Client) Statistics(ctx context.Context) (Statistics, error) {
	return get[Statistics](ctx, c, "/v1/statistics", nil)
}
