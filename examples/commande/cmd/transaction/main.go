// Command transaction is TransactionService as a program of its own. The mail server's user and password come from the environment only.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/skaldhq/skald/examples/commande/service/transaction"
	"github.com/skaldhq/skald/examples/part"
)

func main() {
	c := transaction.Config{Username: os.Getenv("SMTP_USERNAME"), Password: os.Getenv("SMTP_PASSWORD")}
	part.Flags(flag.CommandLine, &c.Config)
	flag.StringVar(&c.SMTP, "smtp", os.Getenv("SMTP"), "`host:port` of the mail server; SMTP")
	flag.StringVar(&c.From, "from", cmp.Or(os.Getenv("FROM"), "Commande <shop@commande.example>"), "`sender` of receipts; FROM")
	flag.Parse()
	start := func(ctx context.Context) (*part.Part, error) { return transaction.Start(ctx, c) }
	if err := part.Main(&c.Config, start); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
