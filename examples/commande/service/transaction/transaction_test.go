package transaction_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	contract "github.com/skaldhq/skald/examples/commande/contract/transaction"
	"github.com/skaldhq/skald/examples/commande/mailbox"
	"github.com/skaldhq/skald/examples/commande/receipt"
	"github.com/skaldhq/skald/examples/commande/service/transaction"
	"github.com/skaldhq/skald/examples/part"
	"github.com/skaldhq/skald/examples/part/parttest"
	"github.com/skaldhq/skald/participant"
)

// smtp starts a real mail server and returns its address.
func smtp(t *testing.T) string {
	t.Helper()
	box, err := mailbox.Open(filepath.Join(t.TempDir(), "mailbox.db"))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- box.Serve(listener) }()
	t.Cleanup(func() {
		if err := box.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

func start(t *testing.T, folder, smtp string) *part.Part {
	t.Helper()
	return parttest.Started(t)(transaction.Start(t.Context(), transaction.Config{
		Config: part.Config{Data: folder}, SMTP: smtp, From: "Commande <shop@commande.example>",
	}))
}

func order(id string) contract.IssueRequest {
	return contract.IssueRequest{
		Order: id, Client: "Zoé Martin", Email: "zoe@example.com", LastFour: "4242", TotalCents: 4980,
		Lines: []contract.Line{{SKU: "CAF-001", Name: "Matin coffee", Quantity: 2, UnitCents: 1290}, {SKU: "TAS-001", Name: "Mug", Quantity: 1, UnitCents: 2400}},
	}
}

func issue(t *testing.T, p *part.Part, id string) contract.Receipt {
	t.Helper()
	return parttest.Done(t, contract.Issue, parttest.Act(t, p, contract.Issue, id, order(id)))
}

func TestReceiptsAreNumberedWithoutGaps(t *testing.T) {
	folder := t.TempDir()
	p := start(t, folder, "127.0.0.1:1")
	year := time.Now().UTC().Year()
	first := issue(t, p, "order-1")
	bad := order("order-2")
	bad.TotalCents++
	parttest.Refused(t, parttest.Act(t, p, contract.Issue, "order-2", bad), contract.ReasonTotals)
	second := issue(t, p, "order-3")
	if again := issue(t, p, "order-1"); !cmp.Equal(first, again) {
		t.Errorf("issued again: %+v, first %+v", again, first)
	}
	parttest.Stop(t, p)
	p = start(t, folder, "127.0.0.1:1")
	third := issue(t, p, "order-4")
	want := []string{fmt.Sprintf("%d-000001", year), fmt.Sprintf("%d-000002", year), fmt.Sprintf("%d-000003", year)}
	if diff := cmp.Diff(want, []string{first.Number, second.Number, third.Number}); diff != "" && time.Now().UTC().Year() == year {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
}

func TestConcurrentOrdersGetDifferentNumbers(t *testing.T) {
	p := start(t, t.TempDir(), "127.0.0.1:1")
	const orders = 30
	answers := make(chan participant.Answer, orders)
	for i := range orders {
		go func() {
			answers <- parttest.Act(t, p, contract.Issue, fmt.Sprintf("order-%d", i), order(fmt.Sprintf("order-%d", i)))
		}()
	}
	seen := map[string]bool{}
	for range orders {
		seen[parttest.Done(t, contract.Issue, <-answers).Number] = true
	}
	if len(seen) != orders {
		t.Errorf("%d numbers for %d orders", len(seen), orders)
	}
}

func TestReceiptThatCannotBePrintedIsRefused(t *testing.T) {
	p := start(t, t.TempDir(), "127.0.0.1:1")
	for name, c := range map[string]struct {
		change func(*contract.IssueRequest)
		reason string
	}{
		"total":    {func(r *contract.IssueRequest) { r.TotalCents-- }, contract.ReasonTotals},
		"client":   {func(r *contract.IssueRequest) { r.Client = "" }, contract.ReasonContent},
		"email":    {func(r *contract.IssueRequest) { r.Email = "zoe" }, contract.ReasonContent},
		"no-lines": {func(r *contract.IssueRequest) { r.Lines, r.TotalCents = nil, 0 }, contract.ReasonContent},
		"card":     {func(r *contract.IssueRequest) { r.LastFour = "4242424242424242" }, contract.ReasonContent},
	} {
		in := order(name)
		c.change(&in)
		if words := parttest.Refused(t, parttest.Act(t, p, contract.Issue, name, in), c.reason); strings.Contains(words, "4242424242424242") {
			t.Errorf("%s: the refusal repeats a card number: %s", name, words)
		}
		if status, _, _ := parttest.Request(t, p, "GET", "/receipts?order="+name, ""); status != 404 {
			t.Errorf("%s: the receipt is there: %d", name, status)
		}
	}
}

func TestReceiptCanBeFoundAndOpened(t *testing.T) {
	p := start(t, t.TempDir(), "127.0.0.1:1")
	number := issue(t, p, "order-1").Number
	found := parttest.Get[struct {
		Number string `json:"number"`
	}](t, p, "/receipts?order=order-1")
	if found.Number != number {
		t.Errorf("found %s, want %s", found.Number, number)
	}
	status, header, page := parttest.Request(t, p, "GET", "/receipts/"+number, "")
	if status != 200 || header.Get("Content-Type") != "text/html; charset=utf-8" || header.Get("Content-Security-Policy") != receipt.Policy() {
		t.Errorf("page: %d %v", status, header)
	}
	for _, text := range []string{number, "Zoé Martin", "Matin coffee", "49,80", `href="` + number + `.pdf"`} {
		if !strings.Contains(string(page), text) {
			t.Errorf("the page does not say %s", text)
		}
	}
	status, header, pdf := parttest.Request(t, p, "GET", "/receipts/"+number+".pdf", "")
	if status != 200 || header.Get("Content-Type") != "application/pdf" || !bytes.HasPrefix(pdf, []byte("%PDF-")) {
		t.Errorf("PDF: %d %v %.8q", status, header, pdf)
	}
	for _, path := range []string{"/receipts/1999-000001", "/receipts/1999-000001.pdf", "/receipts?order=order-2"} {
		if status, _, _ := parttest.Request(t, p, "GET", path, ""); status != 404 {
			t.Errorf("%s answers %d", path, status)
		}
	}
	q := httptest.NewRequest(http.MethodGet, p.URL()+"/receipts/1999-000001", nil)
	q.RequestURI = ""
	q.Header.Set("Accept", "text/html,*/*;q=0.8")
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusNotFound || !strings.Contains(string(body), `<a href="/shop/">`) {
		t.Errorf("a browser is shown %d %s %v", res.StatusCode, body, err)
	}
	if status, _, _ := parttest.Request(t, p, "GET", "/receipts", ""); status != 400 {
		t.Errorf("without an order: %d", status)
	}
}

func TestReceiptIsSentOnceAndRecognisableAgain(t *testing.T) {
	p := start(t, t.TempDir(), smtp(t))
	r := issue(t, p, "order-1")
	in := contract.SendRequest{Number: r.Number, Email: "zoe@example.com"}
	sent := parttest.Done(t, contract.Send, parttest.Act(t, p, contract.Send, "order-1", in))
	if sent.MessageID == "" || sent.Sent.Before(r.Issued) {
		t.Fatalf("sent %+v", sent)
	}
	if again := parttest.Done(t, contract.Send, parttest.Act(t, p, contract.Send, "order-1", in)); !cmp.Equal(sent, again) {
		t.Errorf("sent again: %+v, first %+v", again, sent)
	}
	// Another saga that sends the same letter is recognised by its Message-ID; to another address it is another letter.
	other := parttest.Done(t, contract.Send, parttest.Act(t, p, contract.Send, "resend", in))
	if other.MessageID != sent.MessageID {
		t.Errorf("the same letter is %s and %s", sent.MessageID, other.MessageID)
	}
	in.Email = "martin@example.com"
	if mended := parttest.Done(t, contract.Send, parttest.Act(t, p, contract.Send, "mended", in)); mended.MessageID == sent.MessageID {
		t.Error("a letter to another address has the same Message-ID")
	}
}

func TestMailboxThatRefusesIsARefusalUntilTheAddressIsMended(t *testing.T) {
	p := start(t, t.TempDir(), smtp(t))
	number := issue(t, p, "order-1").Number
	bad := contract.SendRequest{Number: number, Email: "refuse@example.com"}
	words := parttest.Refused(t, parttest.Act(t, p, contract.Send, "order-1", bad), contract.ReasonMailbox)
	if !strings.Contains(words, "550") {
		t.Errorf("the refusal does not repeat the server's reply: %s", words)
	}
	parttest.Refused(t, parttest.Act(t, p, contract.Send, "order-1", contract.SendRequest{Number: number, Email: "no address"}), contract.ReasonMailbox)
	parttest.Done(t, contract.Send, parttest.Act(t, p, contract.Send, "order-1", contract.SendRequest{Number: number, Email: "zoe@example.com"}))
}

func TestMailServerThatMayRecoverLeavesTheResultUnknown(t *testing.T) {
	p := start(t, t.TempDir(), smtp(t))
	number := issue(t, p, "order-1").Number
	parttest.Unknown(t, parttest.Act(t, p, contract.Send, "order-1", contract.SendRequest{Number: number, Email: "busy@example.com"}))

	away := start(t, t.TempDir(), "127.0.0.1:1") // where nobody listens
	number = issue(t, away, "order-1").Number
	parttest.Unknown(t, parttest.Act(t, away, contract.Send, "order-1", contract.SendRequest{Number: number, Email: "zoe@example.com"}))
}

func TestReceiptThatWasNeverMadeIsNotSent(t *testing.T) {
	p := start(t, t.TempDir(), smtp(t))
	parttest.Refused(t, parttest.Act(t, p, contract.Send, "order-1", contract.SendRequest{Number: "1999-000001", Email: "zoe@example.com"}), contract.ReasonNoReceipt)
}

func TestConfigurationThatCannotSendIsRefused(t *testing.T) {
	_, err := transaction.Start(t.Context(), transaction.Config{Config: part.Config{Data: t.TempDir()}, SMTP: "nowhere", From: "nobody"})
	if err == nil || !strings.Contains(err.Error(), "nowhere") || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("error %v", err)
	}
}
