package orchestrator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/commande/contract/paiement"
	"github.com/skaldhq/skald/examples/commande/gateway"
	"github.com/skaldhq/skald/examples/problem"
)

// Services are the addresses of the five services, such as "http://127.0.0.1:8081".
type Services struct {
	Commande, Produit, Inventaire, Paiement, Transaction string
}

// service is one of them, by the name that its operations begin with.
type service struct{ name, url string }

func (s Services) all() []service {
	return []service{{"commande", s.Commande}, {"produit", s.Produit}, {"inventaire", s.Inventaire}, {"paiement", s.Paiement}, {"transaction", s.Transaction}}
}

// Of returns the address of a service, or "" if there is none of that name.
func (s Services) Of(name string) string {
	for _, x := range s.all() {
		if x.name == name {
			return x.url
		}
	}
	return ""
}

const (
	serviceTime = 4 * time.Second // for one question that is not part of a saga
	serviceBody = 1 << 20         // bytes of an answer
)

// asker asks the services what is not part of a saga. It follows no redirects and uses no proxy.
type asker struct {
	to     Services
	client *http.Client
}

func newAsker(to Services) *asker {
	return &asker{to, &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second, ResponseHeaderTimeout: serviceTime},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (a *asker) close() { a.client.CloseIdleConnections() }

// serviceError is an answer that is no success.
type serviceError struct {
	service string
	status  int
	said    problem.Problem // the zero value if it was none
}

// Error says which service answered what.
func (e *serviceError) Error() string {
	if e.said.Detail == "" {
		return fmt.Sprintf("%s answered %d", e.service, e.status)
	}
	return fmt.Sprintf("%s answered %d: %s", e.service, e.status, e.said.Detail)
}

// ask sends a request to a service and returns its answer's body. Nothing of what is sent is in an error.
func (a *asker) ask(ctx context.Context, name, method, path string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, serviceTime)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, a.to.Of(name)+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", name, err)
	}
	if body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	res, err := a.client.Do(q)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", name, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, serviceBody+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", name, err)
	}
	if len(answer) > serviceBody {
		return nil, fmt.Errorf("the answer of %s has more than %d bytes", name, serviceBody)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		e := &serviceError{service: name, status: res.StatusCode}
		_ = json.Unmarshal(answer, &e.said) // its words, if it has any
		return nil, e
	}
	return answer, nil
}

// get asks a service for a JSON document.
func get[T any](ctx context.Context, a *asker, name, path string) (document T, err error) {
	answer, err := a.ask(ctx, name, http.MethodGet, path, nil)
	if err != nil {
		return document, err
	}
	if err := json.Unmarshal(answer, &document); err != nil {
		return document, fmt.Errorf("the answer of %s to %s cannot be read: %w", name, path, err)
	}
	return document, nil
}

// handCard gives a card to PaiementService and returns the token that stands for it. The same card for the same order gives the same token.
func (a *asker) handCard(ctx context.Context, order skald.SagaID, card gateway.Card) (token string, err error) {
	body, err := json.Marshal(struct {
		Card gateway.Card `json:"card"`
	}{card})
	if err != nil {
		return "", errors.New("the card cannot be written as JSON")
	}
	answer, err := a.ask(ctx, owner(paiement.Charge.Name()), http.MethodPut, "/cards/"+url.PathEscape(string(order)), body)
	if err != nil {
		return "", err
	}
	var taken struct {
		Token string `json:"token"`
	}
	if json.Unmarshal(answer, &taken) != nil || taken.Token == "" {
		return "", errors.New("paiement took a card and gave no token for it")
	}
	return taken.Token, nil
}

// each asks all services at once and returns the errors by their place in Services.all.
func (a *asker) each(ctx context.Context, f func(ctx context.Context, i int, s service) error) []error {
	all := a.to.all()
	failed := make([]error, len(all))
	var work sync.WaitGroup
	for i, s := range all {
		work.Go(func() { failed[i] = f(ctx, i, s) })
	}
	work.Wait()
	return failed
}

func asServiceError(err error) (*serviceError, bool) {
	var e *serviceError
	ok := errors.As(err, &e)
	return e, ok
}
