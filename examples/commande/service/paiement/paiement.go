// Package paiement is PaiementService: it takes payments from cards and refunds them. A card is handed in first, for a token; the number stays here, is
// kept only until the charge is decided and 15 minutes at most, and is neither logged nor put into an answer. Payments and refunds are a
// double-entry ledger that is only added to.
//
// An authorisation by the card company moves no money: the ledger's entry is the payment. So an authorisation whose charge never came is no
// loss, and a refund asks nobody. It does not promise that deleted numbers are gone from the disk at once: the database's log holds them until
// it is written over.
package paiement

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/skaldhq/skald"
	contract "github.com/skaldhq/skald/examples/commande/contract/paiement"
	"github.com/skaldhq/skald/examples/commande/gateway"
	"github.com/skaldhq/skald/examples/commande/placeorder"
	"github.com/skaldhq/skald/examples/part"
	"github.com/skaldhq/skald/participant"
)

// Name is the service's name, unless its Config has another.
const Name = "paiement"

//go:embed migrations/*.sql
var files embed.FS

// Config says where the service runs and whom it asks.
type Config struct {
	part.Config
	// Gateway is the card company's URL. Required.
	Gateway string
	// GatewayTimeout bounds one question to it. Default: 2 s.
	GatewayTimeout time.Duration
	// KeepCards is how long the number of a card is kept whose charge is not decided. Default: 15 minutes.
	KeepCards time.Duration
}

// Start starts the service; see part.Start.
func Start(ctx context.Context, c Config) (*part.Part, error) {
	c.Name = cmp.Or(c.Name, Name)
	c.KeepCards = cmp.Or(c.KeepCards, 15*time.Minute)
	migrations, err := fs.Sub(files, "migrations")
	if err != nil {
		return nil, err
	}
	return part.Start(ctx, c.Config, migrations, func(db *sql.DB, log *slog.Logger) (part.Service, error) {
		if c.Gateway == "" {
			return part.Service{}, errors.New("no card company to ask: give its gateway's URL")
		}
		client, err := gateway.NewClient(gateway.ClientConfig{URL: c.Gateway, Timeout: c.GatewayTimeout})
		if err != nil {
			return part.Service{}, err
		}
		sagas, err := placeorder.Sagas()
		if err != nil {
			return part.Service{}, err
		}
		return service{db: db, log: log, gateway: client, keep: c.KeepCards, sagas: sagas}.part(), nil
	})
}

// service carries the operations out.
type service struct {
	db      *sql.DB
	log     *slog.Logger
	gateway *gateway.Client
	keep    time.Duration
	sagas   []skald.Registered
}

func (s service) part() part.Service {
	return part.Service{
		Handlers: []participant.Handler{skald.HandleCompensatablePrepared(contract.Charge, s.authorise, s.charge, s.refund)},
		Sagas:    s.sagas,
		Reason:   contract.ReasonSwitched,
		Routes: func(mux *http.ServeMux) {
			mux.HandleFunc("PUT /cards/{order}", s.handIn)
			mux.HandleFunc("GET /ledger", s.ledger)
		},
		Background: s.forget,
		Close:      s.gateway.Close,
	}
}
