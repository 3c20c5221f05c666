package httpapi_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/access/oidcaccess"
	"github.com/skaldhq/skald/access/sqliteaccess"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/sealed"
	"github.com/skaldhq/skald/store/memstore"
)

// serve serves an engine until a context ends.
func serve(ctx context.Context, engine *skald.Engine, sagas []skald.Registered, participants map[string]skald.Participant) error {
	handler, err := httpapi.New(httpapi.Config{Engine: engine, Sagas: sagas, Participants: participants})
	if err != nil {
		return err
	}
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	server.RegisterOnShutdown(handler.Drain) // watches would hold it up
	stop := context.AfterFunc(ctx, func() { _ = server.Shutdown(context.WithoutCancel(ctx)) })
	defer stop()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

var _ = serve // is in docs/api.md

// serveGuarded serves an engine with access control.
func serveGuarded(ctx context.Context, engine *skald.Engine, sagas []skald.Registered, path, address string, tlsConfig *tls.Config) error {
	keys, err := sqliteaccess.Open(ctx, sqliteaccess.Config{Path: path})
	if err != nil {
		return err
	}
	defer keys.Close()
	handler, err := httpapi.New(httpapi.Config{
		Engine: engine, Sagas: sagas,
		Door:  &access.Door{Knows: []access.Authenticator{keys}, Sessions: access.NewSessions(true, 12*time.Hour)},
		Keys:  keys,
		Audit: keys,
	})
	if err != nil {
		return err
	}
	listener, err := access.Listening{Address: address, Authenticated: true, TLS: true}.Listen(ctx)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, TLSConfig: tlsConfig}
	return server.ServeTLS(listener, "", "")
}

// door lets in who has a key, or a token of an issuer.
func door(keys access.Authenticator, egress *httpparticipant.Egress) (*access.Door, error) {
	tokens, err := oidcaccess.New(oidcaccess.Config{
		Issuer: "https://login.example.org", Audience: "skald", Client: egress.Client(10 * time.Second),
		Grants: []oidcaccess.Grant{
			{Claim: "groups", Value: "sre", Role: access.Admin, Namespace: access.Everywhere},
			{Claim: "groups", Value: "billing", Role: access.Operator, Namespace: "billing"},
		},
	})
	if err != nil {
		return nil, err
	}
	return &access.Door{Knows: []access.Authenticator{keys, tokens}}, nil
}

// serveStock serves a participant to callers with a certificate.
func serveStock(stock participant.Invoker, listener net.Listener) error {
	serves, err := access.Certificates{Cert: "stock.pem", Key: "stock.key", CA: "ca.pem", From: []string{"coordinator"}}.Server()
	if err != nil {
		return err
	}
	server := &http.Server{Handler: httpparticipant.Handler(stock, httpparticipant.HandlerConfig{}), TLSConfig: serves, ReadHeaderTimeout: 10 * time.Second}
	return server.ServeTLS(listener, "", "")
}

// wayOut shows the coordinator's certificate to participants.
func wayOut() (*httpparticipant.Egress, error) {
	calls, err := access.Certificates{Cert: "coordinator.pem", Key: "coordinator.key", CA: "ca.pem"}.Client()
	if err != nil {
		return nil, err
	}
	egress := httpparticipant.NewEgress(httpparticipant.EgressConfig{TLS: calls})
	return egress, nil
}

// sealing keeps payloads from the middle.
func sealing(client skald.Client, handlers []participant.Handler) (skald.Client, []participant.Handler, error) {
	ring, err := sealed.Read("seal-keys.json") // {"current": "2026-11", "keys": {"2026-11": "32 bytes in base64, of openssl rand -base64 32"}}
	if err != nil {
		return nil, nil, err
	}
	return ring.Client(client), ring.Handlers(handlers...), nil
}

var _, _, _, _, _ = serveGuarded, door, serveStock, wayOut, sealing // are in docs/security.md

// box answers every call.
type box struct{}

func (box) Invoke(context.Context, participant.Call) participant.Answer {
	return participant.Answer{Class: participant.Done, Result: []byte(`{"number":7}`)}
}

// A saga is started over HTTP with its types, as at the engine itself.
func ExampleClient() {
	if err := goOverHTTP(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// completed
	// seat 7
}

func goOverHTTP(ctx context.Context) error {
	s := skald.Define[seatRequest]("reservation")
	place := skald.Step(s, reserveSeat, skald.From(func(r seatRequest) seatRequest { return r }))
	saga, err := s.Build()
	if err != nil {
		return err
	}
	sagas := []skald.Registered{saga}
	engine, err := skald.Open(ctx, skald.Config{Store: memstore.New(), Sagas: sagas,
		Participants: map[string]skald.Participant{"seats": {Invoker: box{}, Level: participant.L2}}})
	if err != nil {
		return err
	}
	handler, err := httpapi.New(httpapi.Config{Engine: engine, Sagas: sagas})
	if err != nil {
		return err
	}
	server := httptest.NewServer(handler)
	defer server.Close()

	client, err := httpapi.NewClient(httpapi.ClientConfig{Address: server.URL})
	if err != nil {
		return err
	}
	run, err := saga.Start(ctx, client, seatRequest{Show: "Edda"}, skald.WithID("visit-1"))
	if err != nil {
		return err
	}
	status, err := run.Wait(ctx)
	if err != nil {
		return err
	}
	taken, _, err := skald.ResultOf[seat](&status, place.Step())
	if err != nil {
		return err
	}
	fmt.Println(status.State)
	fmt.Println("seat", taken.Number)
	return engine.Stop(ctx)
}
