package transaction

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/skaldhq/skald"
	contract "github.com/skaldhq/skald/examples/commande/contract/transaction"
	"github.com/skaldhq/skald/examples/commande/mail"
	"github.com/skaldhq/skald/examples/commande/receipt"
	"github.com/skaldhq/skald/participant"
)

// deliver hands the receipt to the mail server, before the transaction that records it: a slow mail server keeps nobody else waiting. If the record is
// lost the letter is sent again, with the same Message-ID.
func (s service) deliver(ctx context.Context, in contract.SendRequest) (contract.Sent, error) {
	r, err := s.receipt(ctx, in.Number)
	if errors.Is(err, sql.ErrNoRows) {
		return contract.Sent{}, skald.Refuse(contract.ReasonNoReceipt, "there is no receipt %s", in.Number)
	}
	if err != nil {
		return contract.Sent{}, fmt.Errorf("reading receipt %s: %w", in.Number, err)
	}
	m, err := letter(r, in.Email)
	if err != nil {
		return contract.Sent{}, err
	}
	var rejected *mail.RejectedError
	if err := s.sender.Send(ctx, m); errors.As(err, &rejected) {
		return contract.Sent{}, skald.Refuse(contract.ReasonMailbox, "the mail server refuses the receipt to %s: %d %s", in.Email, rejected.Code, rejected.Text)
	} else if err != nil {
		return contract.Sent{}, fmt.Errorf("%s: %w", contract.SaidNoMail, err)
	}
	return contract.Sent{MessageID: s.sender.MessageID(m.Key), Sent: time.Now().UTC().Truncate(time.Microsecond)}, nil
}

// letter is the receipt as an e-mail. To another address it is another letter, so that a mended address gets one.
func letter(r receipt.Receipt, to string) (mail.Message, error) {
	text, textErr := receipt.Text(r)
	page, pageErr := receipt.HTML(r, receipt.Links{})
	pdf, pdfErr := receipt.PDF(r)
	if err := errors.Join(textErr, pageErr, pdfErr); err != nil {
		return mail.Message{}, err
	}
	return mail.Message{
		Key: "receipt/" + r.Number + "/" + to, To: to, Subject: "Your receipt " + r.Number, Date: r.Issued, Text: text, HTML: string(page),
		Attachments: []mail.Attachment{{Name: r.Number + ".pdf", ContentType: "application/pdf", Data: pdf}},
	}, nil
}

// record remembers what was sent.
func (s service) record(ctx context.Context, tx participant.Tx, in contract.SendRequest, sent contract.Sent) (contract.Sent, error) {
	const insert = `INSERT INTO sends (message_id, number, email, sent_us) VALUES (?, ?, ?, ?) ON CONFLICT (message_id) DO UPDATE SET sent_us = excluded.sent_us`
	if _, err := tx.ExecContext(ctx, insert, sent.MessageID, in.Number, in.Email, sent.Sent.UnixMicro()); err != nil {
		return contract.Sent{}, fmt.Errorf("recording that receipt %s was sent: %w", in.Number, err)
	}
	return sent, nil
}
