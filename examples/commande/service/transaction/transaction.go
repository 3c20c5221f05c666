// Package transaction is TransactionService: it makes the receipt of a paid order, which is the saga's point of no return, and sends it by
// e-mail. Receipts are numbered without gaps within a year and are never changed.
//
// It does not promise that an e-mail arrives once: a letter whose first sending is in doubt is sent again with the same Message-ID.
package transaction

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"

	"github.com/skaldhq/skald"
	contract "github.com/skaldhq/skald/examples/commande/contract/transaction"
	"github.com/skaldhq/skald/examples/commande/mail"
	"github.com/skaldhq/skald/examples/commande/placeorder"
	"github.com/skaldhq/skald/examples/part"
	"github.com/skaldhq/skald/participant"
)

// Name is the service's name, unless its Config has another.
const Name = "transaction"

//go:embed migrations/*.sql
var files embed.FS

// Config says where the service runs and which mail server takes its letters.
type Config struct {
	part.Config
	// SMTP is the mail server's host:port. Beyond this machine's loopback the connection is encrypted with STARTTLS. Required.
	SMTP string
	// From is the sender, "Shop <shop@example.com>" or a plain address. Required.
	From string
	// Username and Password are for a mail server that wants them. Default: none.
	Username, Password string
	// TLS asks for encryption on loopback too. Default: mail.TLSByAddress.
	TLS mail.TLS
}

// Start starts the service; see part.Start.
func Start(ctx context.Context, c Config) (*part.Part, error) {
	c.Name = cmp.Or(c.Name, Name)
	migrations, err := fs.Sub(files, "migrations")
	if err != nil {
		return nil, err
	}
	return part.Start(ctx, c.Config, migrations, func(db *sql.DB, log *slog.Logger) (part.Service, error) {
		if c.SMTP == "" {
			return part.Service{}, errors.New("no mail server for the receipts: give its host:port")
		}
		sender, err := mail.New(mail.Config{Address: c.SMTP, From: c.From, Username: c.Username, Password: c.Password, TLS: c.TLS})
		if err != nil {
			return part.Service{}, err
		}
		sagas, err := placeorder.Sagas()
		if err != nil {
			return part.Service{}, err
		}
		return service{db: db, log: log, sender: sender, sagas: sagas}.part(), nil
	})
}

// service carries the operations out.
type service struct {
	db     *sql.DB
	log    *slog.Logger
	sender *mail.Sender
	sagas  []skald.Registered
}

func (s service) part() part.Service {
	return part.Service{
		Handlers: []participant.Handler{
			skald.Handle(contract.Issue, s.issue),
			skald.HandlePrepared(contract.Send, s.deliver, s.record),
		},
		Sagas:  s.sagas,
		Reason: contract.ReasonSwitched,
		Routes: func(mux *http.ServeMux) {
			mux.HandleFunc("GET /receipts/{file}", s.show)
			mux.HandleFunc("GET /receipts", s.find)
		},
	}
}
