package mailbox

import (
	"path"
	"testing"
	"unicode/utf8"
)

// FuzzMessage reads mails of all sorts: as much of each as can be read is fit to be shown, and no attachment has a folder in its name.
func FuzzMessage(f *testing.F) {
	f.Add([]byte("From: shop@example.com\r\nSubject: =?utf-8?q?re=C3=A7u?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n" +
		"--b\r\nContent-Type: application/pdf; name=\"../r.pdf\"\r\nContent-Disposition: attachment; filename=\"/etc/r.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n--b--\r\n"))
	f.Add([]byte("Content-Type: text/html; charset=latin-9\r\nFrom: a, b\r\n\r\n\xff"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := readEntry(raw)
		if err == nil && !utf8.ValidString(e.subject) {
			t.Errorf("subject %q", e.subject)
		}
		m := readMessage(Summary{}, raw)
		if !utf8.ValidString(m.HeaderFrom) || !utf8.ValidString(m.Text) || !utf8.ValidString(m.HTML) {
			t.Errorf("from %q, text %q, HTML %q", m.HeaderFrom, m.Text, m.HTML)
		}
		for _, a := range m.Attachments {
			if a.Name == "" || path.Base(a.Name) != a.Name {
				t.Errorf("attachment %q", a.Name)
			}
		}
	})
}
