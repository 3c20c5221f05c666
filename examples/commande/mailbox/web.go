package mailbox

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the pages' templates and style sheet
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

//go:embed mailbox.css
var styleSheet []byte

//go:embed mark.svg
var mark []byte

//go:embed pages.html
var pagesSource string

var pages = template.Must(template.New("pages").Funcs(template.FuncMap{
	"iso":    func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"day":    func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04:05 UTC") },
	"min":    func(t time.Time) string { return t.UTC().Format("2 Jan 15:04") },
	"join":   func(to []string) string { return strings.Join(to, ", ") },
	"size":   size,
	"number": func(index int) int { return index + 1 },
}).Parse(pagesSource))

const pageSize = 50

// Handler serves the mailbox's pages, for people:
//
//	GET /                             the messages, newest first; ?to=address selects, ?before=id pages on
//	GET /messages/{id}                one message
//	GET /messages/{id}/html           its HTML part, for a sandboxed frame
//	GET /messages/{id}/attachments/n  an attachment to save, counted from 1
//	GET /messages/{id}/source         the message as it arrived, to save
//	GET /mailbox.css, /mark.svg
//
// Its links are relative: serve it from any path that ends in "/", behind http.StripPrefix; its header leads to what is beside that path. Every answer carries a
// Content-Security-Policy under which no script runs and nothing is loaded from elsewhere.
func (m *Mailbox) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", m.serveList)
	mux.HandleFunc("GET /messages/{id}", m.serveMessage)
	mux.HandleFunc("GET /messages/{id}/html", m.serveHTML)
	mux.HandleFunc("GET /messages/{id}/attachments/{n}", m.serveAttachment)
	mux.HandleFunc("GET /messages/{id}/source", m.serveSource)
	mux.HandleFunc("GET /mailbox.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = w.Write(styleSheet) // a client that went away
	})
	mux.HandleFunc("GET /mark.svg", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/svg+xml")
		_, _ = w.Write(mark) // a client that went away
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
}

type listPage struct {
	Root     string // relative way to the mailbox's own "/"
	To       string
	Messages []Summary
	Paged    bool   // this is not the newest page
	Older    string // address of the next page; empty: this is the last
}

func (m *Mailbox) serveList(w http.ResponseWriter, r *http.Request) {
	before, err := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64)
	if err != nil {
		before = 0
	}
	page := listPage{To: strings.TrimSpace(r.URL.Query().Get("to")), Paged: before > 0}
	page.Messages, err = m.List(r.Context(), Query{To: page.To, Before: max(before, 0), Limit: pageSize + 1})
	if err != nil {
		fail(w, err)
		return
	}
	if len(page.Messages) > pageSize {
		page.Messages = page.Messages[:pageSize]
		next := url.Values{"before": {strconv.FormatInt(page.Messages[pageSize-1].ID, 10)}}
		if page.To != "" {
			next.Set("to", page.To)
		}
		page.Older = "?" + next.Encode()
	}
	show(w, http.StatusOK, "list", page)
}

type messagePage struct {
	Root string
	Message
}

func (m *Mailbox) serveMessage(w http.ResponseWriter, r *http.Request) {
	if message, ok := m.find(w, r, "../"); ok {
		show(w, http.StatusOK, "message", messagePage{Root: "../", Message: message})
	}
}

// serveHTML answers a stranger's document. It may style itself and nothing else: the policy names its own style
// elements by hash, "sandbox" takes scripts, forms and the origin away.
func (m *Mailbox) serveHTML(w http.ResponseWriter, r *http.Request) {
	message, ok := m.find(w, r, "../../")
	if !ok {
		return
	}
	if message.HTML == "" {
		notFound(w, "../../")
		return
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src "+styleHashes(message.HTML)+
		"; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(message.HTML)) // a client that went away
}

var styleElement = regexp.MustCompile(`(?is)<style(?:\s[^>]*)?>(.*?)</style\s*>`)

// styleHashes names the style elements of a document as a Content-Security-Policy does. A style element that is
// written so that the expression misses it stays without effect.
func styleHashes(document string) string {
	var hashes []string
	for _, match := range styleElement.FindAllStringSubmatch(document, 20) {
		sum := sha256.Sum256([]byte(match[1]))
		hashes = append(hashes, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	}
	if len(hashes) == 0 {
		return "'none'"
	}
	return strings.Join(hashes, " ")
}

func (m *Mailbox) serveAttachment(w http.ResponseWriter, r *http.Request) {
	message, ok := m.find(w, r, "../../../")
	if !ok {
		return
	}
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 1 || n > len(message.Attachments) {
		notFound(w, "../../../")
		return
	}
	a := message.Attachments[n-1]
	kind := "application/octet-stream"
	if a.ContentType == "application/pdf" {
		kind = a.ContentType
	}
	save(w, a.Name, kind, a.Data)
}

func (m *Mailbox) serveSource(w http.ResponseWriter, r *http.Request) {
	if message, ok := m.find(w, r, "../../"); ok {
		save(w, fmt.Sprintf("message-%d.eml", message.ID), "message/rfc822", message.Raw)
	}
}

// save answers a file that the browser keeps and never shows.
func save(w http.ResponseWriter, name, kind string, data []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = w.Write(data) // a client that went away
}

// find answers itself when it returns false.
func (m *Mailbox) find(w http.ResponseWriter, r *http.Request, root string) (Message, bool) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		notFound(w, root)
		return Message{}, false
	}
	message, err := m.Get(r.Context(), id)
	if errors.Is(err, ErrNotFound) {
		notFound(w, root)
		return Message{}, false
	}
	if err != nil {
		fail(w, err)
		return Message{}, false
	}
	return message, true
}

func notFound(w http.ResponseWriter, root string) {
	show(w, http.StatusNotFound, "missing", messagePage{Root: root})
}

func fail(w http.ResponseWriter, err error) {
	slog.Error("the mailbox's page failed", "error", err)
	http.Error(w, "The mailbox cannot be read just now. Try again in a moment.", http.StatusInternalServerError)
}

func show[Data listPage | messagePage](w http.ResponseWriter, status int, name string, data Data) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, data); err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // a client that went away
}

func size(data []byte) string {
	if len(data) < 1000 {
		return fmt.Sprintf("%d B", len(data))
	}
	if len(data) < 1_000_000 {
		return fmt.Sprintf("%d kB", (len(data)+500)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(len(data))/1e6)
}
