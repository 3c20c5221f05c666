package mailbox_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald/examples/commande/mail"
	"github.com/skaldhq/skald/examples/commande/receipt"
)

// web serves the mailbox's pages below /mail/, as the demonstration does.
func (r *running) web(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/mail/", http.StripPrefix("/mail", r.Handler()))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

// get returns the answer and its body, and checks what every answer must have.
func get(t *testing.T, server *httptest.Server, path string, status int) (*http.Response, string) {
	t.Helper()
	answer, err := server.Client().Get(server.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != status {
		t.Fatalf("%s: %s, want %d", path, answer.Status, status)
	}
	policy := answer.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Errorf("%s: policy %q", path, policy)
	}
	if answer.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%s: the browser may guess the type", path)
	}
	return answer, string(body)
}

func receiptLetter(t *testing.T, to string) mail.Message {
	t.Helper()
	bought := receipt.Receipt{Number: "R-2026-000042", Order: "019aa7c4-5b1e-7c3a-9d2f-3e8b6a1c0d57", Client: "Zoë Müller-Łukasiewicz",
		Email: to, Issued: time.Date(2026, 11, 21, 20, 49, 5, 0, time.UTC), TotalCents: 2_985, Card: "4242",
		Lines: []receipt.Line{{SKU: "CAF-001", Name: "Café crème – éclair", Quantity: 3, UnitCents: 475}, {SKU: "TAS-020", Name: "Tasse en grès", Quantity: 1, UnitCents: 1_560}}}
	page, err := receipt.HTML(bought, receipt.Links{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := receipt.Text(bought)
	if err != nil {
		t.Fatal(err)
	}
	document, err := receipt.PDF(bought)
	if err != nil {
		t.Fatal(err)
	}
	return mail.Message{Key: "receipt/" + bought.Number + to, To: to, Subject: "Your receipt R-2026-000042 – thank you", Date: bought.Issued,
		Text: text, HTML: string(page), Attachments: []mail.Attachment{{Name: "receipt R-2026-000042.pdf", ContentType: "application/pdf", Data: document}}}
}

func TestEmptyMailboxSaysWhatToDo(t *testing.T) {
	_, body := get(t, start(t, file(t)).web(t), "/mail/", http.StatusOK)
	for _, want := range []string{"No messages yet", "Place an order", "refuse…@", "550 5.1.1", "busy…@", "451 4.2.1"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in:\n%s", want, body)
		}
	}
}

// TestReceiptCanBeFoundAndOpened follows the page's own links, as a person does.
func TestReceiptCanBeFoundAndOpened(t *testing.T) {
	r := start(t, file(t))
	m := receiptLetter(t, "zoe@example.com")
	r.send(t, m)
	r.send(t, m)
	server := r.web(t)
	_, list := get(t, server, "/mail/", http.StatusOK)
	for _, want := range []string{"zoe@example.com", m.Subject, "arrived 2 times", "<time datetime="} {
		if !strings.Contains(list, want) {
			t.Errorf("no %q in the list:\n%s", want, list)
		}
	}
	link := regexp.MustCompile(`href="(messages/\d+)"`).FindStringSubmatch(list)
	if link == nil {
		t.Fatalf("no link to the message in:\n%s", list)
	}
	_, page := get(t, server, "/mail/"+link[1], http.StatusOK)
	for _, want := range []string{"<h1>" + m.Subject + "</h1>", "zoe@example.com", "arrived 2 times, stored once", "Total paid:"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q on the message's page:\n%s", want, page)
		}
	}
	frame := regexp.MustCompile(`<iframe title="The message" sandbox src="([^"]+)">`).FindStringSubmatch(page)
	if frame == nil {
		t.Fatalf("no sandboxed frame in:\n%s", page)
	}
	_, document := get(t, server, "/mail/messages/"+frame[1], http.StatusOK)
	if strings.TrimSpace(document) != strings.TrimSpace(m.HTML) {
		t.Errorf("the frame shows another document:\n%s", document)
	}
	download := regexp.MustCompile(`href="([^"]+/attachments/1)" download><span aria-hidden="true">↓ </span>receipt R-2026-000042.pdf`).FindStringSubmatch(page)
	if download == nil {
		t.Fatalf("no download in:\n%s", page)
	}
	answer, body := get(t, server, "/mail/messages/"+download[1], http.StatusOK)
	if body != string(m.Attachments[0].Data) || answer.Header.Get("Content-Type") != "application/pdf" {
		t.Errorf("the PDF comes back as %s, %d bytes", answer.Header.Get("Content-Type"), len(body))
	}
	kind, params, err := mime.ParseMediaType(answer.Header.Get("Content-Disposition"))
	if err != nil || kind != "attachment" || params["filename"] != "receipt R-2026-000042.pdf" {
		t.Errorf("it is saved as %q %q (%v)", kind, params["filename"], err)
	}
	_, source := get(t, server, "/mail/messages/"+strings.TrimSuffix(frame[1], "html")+"source", http.StatusOK)
	if !strings.Contains(source, "Message-ID: <") {
		t.Error("the source is not the message")
	}
}

func TestStrangersHTMLMayStyleItselfAndNothingElse(t *testing.T) {
	r := start(t, file(t))
	styles := []string{"p{color:red}", "\nb{top:0}\n"}
	html := "<style>" + styles[0] + "</style><STYLE type='text/css'>" + styles[1] + "</STYLE>" +
		`<script>alert(1)</script><p style="color:blue" onclick="alert(2)">x</p><img src="https://tracker.example/x.gif">`
	r.send(t, mail.Message{Key: "k", To: "a@example.com", Subject: "<script>alert(3)</script>", Text: "</pre><script>alert(4)</script>", HTML: html,
		Attachments: []mail.Attachment{{Name: "page.html", ContentType: "text/html", Data: []byte("<script>alert(5)</script>")}}})
	server := r.web(t)
	for _, path := range []string{"/mail/", "/mail/messages/1"} {
		if _, page := get(t, server, path, http.StatusOK); strings.Contains(page, "<script") {
			t.Errorf("%s holds a stranger's script:\n%s", path, page)
		}
	}
	answer, _ := get(t, server, "/mail/messages/1/html", http.StatusOK)
	directives := map[string]string{}
	for directive := range strings.SplitSeq(answer.Header.Get("Content-Security-Policy"), ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), " ")
		directives[name] = value
	}
	var hashes []string
	for _, style := range styles {
		sum := sha256.Sum256([]byte(style))
		hashes = append(hashes, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	}
	for name, want := range map[string]string{"default-src": "'none'", "style-src": strings.Join(hashes, " "), "img-src": "data:",
		"form-action": "'none'", "base-uri": "'none'", "frame-ancestors": "'self'", "sandbox": ""} {
		if got, ok := directives[name]; !ok || got != want {
			t.Errorf("%s is %q (%t), want %q", name, got, ok, want)
		}
	}
	attachment, _ := get(t, server, "/mail/messages/1/attachments/1", http.StatusOK)
	if kind := attachment.Header.Get("Content-Type"); kind != "application/octet-stream" {
		t.Errorf("a stranger's page is served as %s", kind)
	}
}

func TestListSelectsAndPages(t *testing.T) {
	r := start(t, file(t))
	c := r.hello(t)
	for i := range 60 {
		c.hand(250, fmt.Sprintf("Message-ID: <%d@x>\r\nSubject: number-%02d\r\n\r\nt\r\n", i, i), fmt.Sprintf("a+%d@example.com", i%2))
	}
	server := r.web(t)
	_, all := get(t, server, "/mail/", http.StatusOK)
	if strings.Count(all, "number-") != 50 || !strings.Contains(all, "number-59") {
		t.Errorf("the first page has %d messages, want the newest 50", strings.Count(all, "number-"))
	}
	older := regexp.MustCompile(`href="([^"]+)">Older`).FindStringSubmatch(all)
	if older == nil {
		t.Fatalf("no way to older messages in:\n%s", all)
	}
	_, rest := get(t, server, "/mail/"+strings.ReplaceAll(older[1], "&amp;", "&"), http.StatusOK)
	if strings.Count(rest, "number-") != 10 || strings.Contains(rest, ">Older") || !strings.Contains(rest, ">Newest") {
		t.Errorf("the second page has %d messages, want the last 10", strings.Count(rest, "number-"))
	}
	_, mine := get(t, server, "/mail/?to=a%2B1%40example.com", http.StatusOK)
	if strings.Count(mine, "number-") != 30 || strings.Contains(mine, "number-58") {
		t.Errorf("%d messages to one address, want its 30", strings.Count(mine, "number-"))
	}
}

func TestMissingPages(t *testing.T) {
	r := start(t, file(t))
	r.send(t, mail.Message{Key: "k", To: "a@example.com", Subject: "s", Text: "only text"})
	server := r.web(t)
	for _, path := range []string{"/mail/messages/2", "/mail/messages/x", "/mail/messages/1/html", "/mail/messages/1/attachments/1",
		"/mail/messages/1/attachments/0", "/mail/messages/-1/source", "/mail/messages/99999999999999999999", "/mail/else"} {
		get(t, server, path, http.StatusNotFound)
	}
	if _, page := get(t, server, "/mail/messages/1", http.StatusOK); strings.Contains(page, "<iframe") || !strings.Contains(page, "only text") {
		t.Errorf("a message of plain text is shown as:\n%s", page)
	}
	if answer, css := get(t, server, "/mail/mailbox.css", http.StatusOK); !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/css") || css == "" {
		t.Error("no style sheet")
	}
}

func TestEveryPageLeadsBackToWhatIsBesideTheMailbox(t *testing.T) {
	server := start(t, file(t)).web(t)
	for path, c := range map[string]struct {
		status int
		links  []string
	}{
		"/mail/":           {http.StatusOK, []string{`href="../"`, `href="../shop/"`, `src="mark.svg"`}},
		"/mail/messages/9": {http.StatusNotFound, []string{`href="../../"`, `href="../../shop/"`, `src="../mark.svg"`}},
	} {
		_, body := get(t, server, path, c.status)
		for _, link := range c.links {
			if !strings.Contains(body, link) {
				t.Errorf("%s has no %s", path, link)
			}
		}
	}
	if answer, body := get(t, server, "/mail/mark.svg", http.StatusOK); answer.Header.Get("Content-Type") != "image/svg+xml" || !strings.Contains(body, "<svg") {
		t.Errorf("the mark is %q", answer.Header.Get("Content-Type"))
	}
}
