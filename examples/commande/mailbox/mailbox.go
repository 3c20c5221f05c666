// Package mailbox is the mail server of a demonstration: a real SMTP server for this machine that keeps every message
// in one SQLite file, and a page to read them. What it acknowledged survives kill -9 and power loss.
//
// A message is stored once per Message-ID, however often it arrives; the page says how often it did. Some recipients
// are refused, so that failures can be shown: a local part that begins with "refuse" is refused for good (550 5.1.1),
// one that begins with "slow" or "busy" for now (451 4.2.1). Every other recipient has a mailbox here.
//
// It does not promise to be a mail server for anybody else: it forwards nothing, asks for no password, encrypts
// nothing, and so serves loopback addresses only. Of more than 100 000 messages it forgets the oldest, and with them
// their Message-IDs.
package mailbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// Limits of the server. Beyond them it answers as RFC 5321 says: 552 for size, 452 for recipients, 421 for connections.
const (
	MaxMessageBytes = 5 << 20
	MaxRecipients   = 20
	MaxConnections  = 64

	idle = time.Minute // how long a client may be silent
)

// Mailbox is the server and its messages. Its methods are safe for concurrent use.
type Mailbox struct {
	store *store
	smtp  *smtp.Server

	mu        sync.Mutex
	listeners []net.Listener // complete once closed is set
	conns     map[net.Conn]struct{}
	closed    bool

	serving sync.WaitGroup // calls of Serve
	storing sync.WaitGroup // messages being received; BDAT receives on goroutines that the library does not wait for
}

// Open opens the SQLite file at path, creating it if it is missing. The folder must exist. One Mailbox at a time may
// have a file open.
func Open(path string) (*Mailbox, error) {
	store, err := openStore(path)
	if err != nil {
		return nil, fmt.Errorf("open the mailbox %s: %w", path, err)
	}
	m := &Mailbox{store: store, conns: map[net.Conn]struct{}{}}
	m.smtp = smtp.NewServer(smtp.BackendFunc(m.newSession))
	m.smtp.Domain = "localhost"
	m.smtp.MaxMessageBytes = MaxMessageBytes
	m.smtp.MaxRecipients = MaxRecipients
	m.smtp.ReadTimeout = idle
	m.smtp.WriteTimeout = idle
	m.smtp.EnableSMTPUTF8 = true
	m.smtp.ErrorLog = slog.NewLogLogger(slog.Default().With("component", "mailbox").Handler(), slog.LevelWarn)
	return m, nil
}

// Serve takes SMTP connections from the listener until Close, then returns nil; after Close it does so at once. It owns
// the listener from the call on.
// A listener that other machines can reach is refused.
func (m *Mailbox) Serve(listener net.Listener) error {
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok || !address.IP.IsLoopback() {
		return errors.Join(listener.Close(),
			fmt.Errorf("the mailbox takes mail from anybody: listen on 127.0.0.1, not on %s", listener.Addr()))
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return listener.Close()
	}
	m.listeners = append(m.listeners, listener)
	m.serving.Add(1)
	m.mu.Unlock()
	defer m.serving.Done()
	err := m.smtp.Serve(trackedListener{listener, m})
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Close stops serving, cuts the connections, waits for every goroutine, and closes the file. A message that was being
// received and not yet acknowledged is the client's to send again. Close may be called more than once.
func (m *Mailbox) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	m.mu.Unlock()
	// From here on no connection and no message begins. The order matters: once Serve has returned, the library starts
	// no goroutine that its Shutdown could miss.
	var faults []error
	for _, listener := range m.listeners {
		faults = append(faults, listener.Close())
	}
	m.serving.Wait()
	for _, conn := range m.connections() {
		conn.Close() // its goroutine sees the error and ends
	}
	faults = append(faults, m.smtp.Shutdown(context.Background()))
	m.storing.Wait()
	return errors.Join(append(faults, m.store.close())...)
}

// begin counts a message that is being received, unless the mailbox is closing.
func (m *Mailbox) begin() (end func(), ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, false
	}
	m.storing.Add(1)
	return m.storing.Done, true
}

func (m *Mailbox) connections() []net.Conn {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.conns))
}

// trackedListener remembers the connections it accepts: the library can cut its connections or wait for them, not both.
type trackedListener struct {
	net.Listener
	mailbox *Mailbox
}

func (l trackedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	m := l.mailbox
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		conn.Close()
		return nil, net.ErrClosed
	}
	t := &trackedConn{Conn: conn, mailbox: m}
	m.conns[t] = struct{}{}
	return t, nil
}

// Close does nothing: the listener is closed by Mailbox.Close, before the library tries.
func (l trackedListener) Close() error { return nil }

type trackedConn struct {
	net.Conn
	mailbox *Mailbox
}

func (c *trackedConn) Close() error {
	c.mailbox.mu.Lock()
	delete(c.mailbox.conns, c)
	c.mailbox.mu.Unlock()
	return c.Conn.Close()
}
