// Package transaction is the contract of TransactionService, which makes receipts and sends them.
package transaction

import (
	"time"

	"github.com/skaldhq/skald"
)

// Line is a position of a receipt.
type Line struct {
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	Quantity  int    `json:"quantity"`
	UnitCents int64  `json:"unit_cents"`
}

// IssueRequest asks for the receipt of a paid order.
type IssueRequest struct {
	Order      string `json:"order"`
	Client     string `json:"client"`
	Email      string `json:"email"`
	Lines      []Line `json:"lines"`
	TotalCents int64  `json:"total_cents"`
	LastFour   string `json:"last_four"`
}

// Receipt is a receipt that was made.
type Receipt struct {
	Number string    `json:"number"`
	Issued time.Time `json:"issued"`
}

// SendRequest asks for a receipt to be sent.
type SendRequest struct {
	Number string `json:"number"`
	Email  string `json:"email"`
}

// Sent is a receipt that a mail server took.
type Sent struct {
	MessageID string    `json:"message_id"`
	Sent      time.Time `json:"sent"`
}

// Events of TransactionService.
const (
	TransactionConfirm = "TransactionConfirm"
	TransactionFail    = "TransactionFail"
)

// Reason codes.
const (
	// ReasonTotals refuses a receipt whose lines do not add up.
	ReasonTotals = "TransactionFail.Totals"
	// ReasonContent refuses a receipt that cannot be printed: a missing name, no address, no line.
	ReasonContent = "TransactionFail.Content"
	// ReasonNoReceipt is the incident of a receipt that is to be sent and was never made.
	ReasonNoReceipt = "TransactionFail.NoReceipt"
	// ReasonSwitched refuses because somebody switched the failure on.
	ReasonSwitched = "TransactionFail.Switched"
	// ReasonMailbox is the incident of a mailbox that refuses the receipt.
	ReasonMailbox = "TransactionFail.MailboxRefused"
)

// Issue makes the receipt: the point of no return.
var Issue = skald.Pivot[IssueRequest, Receipt]("transaction.issue",
	skald.Emits(TransactionConfirm, TransactionFail), skald.Reasons(ReasonTotals, ReasonContent, ReasonSwitched))

// SaidNoMail is what the service says when the mail server leaves it open whether it took a letter. Technical words may follow it.
const SaidNoMail = "the mail server did not take the letter yet"

// Send sends the receipt by e-mail. A mailbox that refuses it for ever is an incident; the paid order stands.
var Send = skald.Retriable[SendRequest, Sent]("transaction.send", skald.Reasons(ReasonMailbox, ReasonNoReceipt, ReasonSwitched))
