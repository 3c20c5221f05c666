package orchestrator

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/examples/program"
)

// Main is OrchestratorService as a program: it serves as the flags and the environment say, prints one line that says where, and returns when SIGINT or
// SIGTERM stopped it or it failed. A second signal ends the process at once.
func Main(args []string, env func(string) string, pages http.Handler, out, problems io.Writer) error {
	c := Config{Pages: pages, Logger: slog.New(slog.NewTextHandler(problems, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	f := flag.NewFlagSet("orchestrator", flag.ContinueOnError)
	f.SetOutput(problems)
	f.StringVar(&c.Listen, "listen", cmp.Or(env("LISTEN"), "127.0.0.1:8080"), "loopback `address` of the shop and its API; LISTEN")
	f.StringVar(&c.Data, "data", cmp.Or(env("DATA"), "./data"), "`folder` of the databases; DATA")
	f.StringVar(&c.Services.Commande, "commande", cmp.Or(env("COMMANDE"), "http://127.0.0.1:8081"), "`URL` of CommandeService; COMMANDE")
	f.StringVar(&c.Services.Produit, "produit", cmp.Or(env("PRODUIT"), "http://127.0.0.1:8082"), "`URL` of ProduitService; PRODUIT")
	f.StringVar(&c.Services.Inventaire, "inventaire", cmp.Or(env("INVENTAIRE"), "http://127.0.0.1:8083"), "`URL` of InventaireService; INVENTAIRE")
	f.StringVar(&c.Services.Paiement, "paiement", cmp.Or(env("PAIEMENT"), "http://127.0.0.1:8084"), "`URL` of PaiementService; PAIEMENT")
	f.StringVar(&c.Services.Transaction, "transaction", cmp.Or(env("TRANSACTION"), "http://127.0.0.1:8085"), "`URL` of TransactionService; TRANSACTION")
	var at string
	f.StringVar(&at, "broker", env("BROKER"), "`URL` of the NATS server that carries choreographed orders; empty: every order is orchestrated; BROKER")
	f.StringVar((*string)(&c.Mode), "mode", cmp.Or(env("MODE"), string(skald.Orchestrated)), "`mode` of new orders until somebody chooses: orchestrated or choreographed; MODE")
	if err := f.Parse(args); err != nil {
		return err
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return fmt.Errorf("the folder for the data cannot be made: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if at != "" {
		b, err := natsbroker.Await(ctx, natsbroker.Config{URL: at, Log: c.Logger})
		if err != nil {
			return err
		}
		defer func() { _ = b.Close() }() // what it held is handed out again
		c.Broker = b
	}
	return serve(ctx, stop, c, out)
}

// serve serves until the context ends, which stop lets a second signal end the process, or until it fails.
func serve(ctx context.Context, stop func(), c Config, out io.Writer) error {
	o, err := Start(ctx, c)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "orchestrator listens on %s; services send their events to %s%s\n", o.URL(), o.URL(), EventsPath)
	return program.Serve(ctx, stop, o)
}
