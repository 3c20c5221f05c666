package access

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/http"
	"sync"
	"time"
)

// Sessions are what browsers have instead of a credential: a cookie that stands in for it, so that no script can read the key that a person typed. Every request is let in by the credential
// itself, so that a session ends with its key or token, and what that may do it may do. They are kept in memory: a restart ends all. Use NewSessions.
type Sessions struct {
	// Secure marks cookies as for HTTPS only, and binds them to this host (__Host-). Set it wherever browsers come by HTTPS, also behind a proxy.
	Secure bool
	// For is how long a session lasts; 12 h.
	For time.Duration

	now  func() time.Time
	mu   sync.Mutex
	open map[[sha256.Size]byte]session // by the hash of the cookie, so that a search gives nothing away by the time that it takes
}

type session struct {
	credential string
	until      time.Time
}

// maxSessions bounds how many are open. The one that ends first makes room.
const maxSessions = 10_000

// ErrNoSessions says that there are no sessions here.
var ErrNoSessions = errors.New("nobody signs in here: there is no access control, or it has no sessions")

// NewSessions makes sessions.
func NewSessions(secure bool, lasting time.Duration) *Sessions {
	if lasting <= 0 {
		lasting = 12 * time.Hour
	}
	return &Sessions{Secure: secure, For: lasting, now: time.Now, open: map[[sha256.Size]byte]session{}}
}

// Open begins a session that stands in for a credential, which the caller has had authenticated, and returns its cookie.
func (s *Sessions) Open(credential string) *http.Cookie {
	token := rand.Text() + rand.Text()[:8]
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.makeRoom(now)
	s.open[sha256.Sum256([]byte(token))] = session{credential, now.Add(s.For)}
	return s.cookie(token, int(s.For/time.Second))
}

// makeRoom forgets what is over, and if that is not enough, what ends first.
func (s *Sessions) makeRoom(now time.Time) {
	if len(s.open) < maxSessions {
		return
	}
	var first [sha256.Size]byte
	var until time.Time
	for key, x := range s.open {
		if !now.Before(x.until) {
			delete(s.open, key)
		} else if until.IsZero() || x.until.Before(until) {
			first, until = key, x.until
		}
	}
	if len(s.open) >= maxSessions {
		delete(s.open, first)
	}
}

// End ends the session of a request, if it has one, and returns a cookie that makes the browser forget it.
func (s *Sessions) End(r *http.Request) *http.Cookie {
	if c, err := r.Cookie(s.name()); err == nil {
		s.mu.Lock()
		delete(s.open, sha256.Sum256([]byte(c.Value)))
		s.mu.Unlock()
	}
	return s.cookie("", -1)
}

// credential is what the session of a request stands for.
func (s *Sessions) credential(r *http.Request) (string, bool) {
	c, err := r.Cookie(s.name())
	if err != nil {
		return "", false
	}
	key := sha256.Sum256([]byte(c.Value))
	s.mu.Lock()
	defer s.mu.Unlock()
	x, ok := s.open[key]
	if ok && !s.now().Before(x.until) {
		delete(s.open, key)
		ok = false
	}
	return x.credential, ok
}

func (s *Sessions) name() string {
	if s.Secure {
		return "__Host-skald"
	}
	return "skald"
}

func (s *Sessions) cookie(value string, seconds int) *http.Cookie {
	return &http.Cookie{Name: s.name(), Value: value, Path: "/", MaxAge: seconds, HttpOnly: true, Secure: s.Secure, SameSite: http.SameSiteStrictMode}
}
