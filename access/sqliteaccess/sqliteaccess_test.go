package sqliteaccess

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/access"
)

func open(t *testing.T, path string) *Store {
	t.Helper()
	return openAt(t, path, nil)
}

// openAt opens a store that goes by a clock.
func openAt(t *testing.T, path string, now func() time.Time) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{Path: path, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func make1(t *testing.T, s *Store, k access.Key) (access.Key, string) {
	t.Helper()
	k, secret, err := s.Create(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	return k, secret
}

func TestAKeyOpensWhatItIsForAndNothingElseDoes(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "access.db"))
	k, secret := make1(t, s, access.Key{Name: "ci", Role: access.Operator, Namespace: "billing", CreatedBy: "ada"})
	if !strings.HasPrefix(secret, "skald_"+k.ID+"_") || len(secret) != len("skald_")+8+1+26 {
		t.Errorf("the key is %q", secret)
	}
	who, err := s.Authenticate(t.Context(), secret)
	if want := (access.Identity{Name: "ci", Role: access.Operator, Namespace: "billing", Credential: "key " + k.ID}); err != nil || who != want {
		t.Errorf("%+v, %v", who, err)
	}
	for _, wrong := range []string{"", "skald_", "skald_" + k.ID, "skald_" + k.ID + "_", secret[:len(secret)-1], secret + "x", strings.ToLower(secret), "skald_zzzzzzzz_" + secret[15:], secret[6:], " " + secret, "skald_' OR 1_x"} {
		if who, err := s.Authenticate(t.Context(), wrong); !errors.Is(err, access.ErrUnknown) || who != (access.Identity{}) {
			t.Errorf("%q: %+v, %v", wrong, who, err)
		}
	}
}

func TestSecretsAreNowhereInTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "access.db")
	s := open(t, path)
	_, secret := make1(t, s, access.Key{Name: "ci", Role: access.Reader, Namespace: access.Everywhere})
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), secret[15:]) {
			t.Errorf("%s has the secret", name)
		}
		if info, err := os.Stat(name); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %s, %v", name, info.Mode(), err)
		}
	}
}

func TestKeysExpireAndAreRotatedAndRevoked(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	var later atomic.Int64 // nanoseconds that have passed
	s := openAt(t, filepath.Join(t.TempDir(), "access.db"), func() time.Time { return now.Add(time.Duration(later.Load())) })
	opens := func(secret string) bool {
		t.Helper()
		_, err := s.Authenticate(t.Context(), secret)
		if err != nil && !errors.Is(err, access.ErrUnknown) {
			t.Fatal(err)
		}
		return err == nil
	}
	brief, briefly := make1(t, s, access.Key{Name: "brief", Role: access.Reader, Namespace: "default", Expires: now.Add(time.Minute)})
	old, oldSecret := make1(t, s, access.Key{Name: "ci", Role: access.Operator, Namespace: "billing"})
	fresh, freshSecret, err := s.Rotate(t.Context(), old.ID, "ada", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	want := access.Key{ID: fresh.ID, Name: "ci", Role: access.Operator, Namespace: "billing", Created: now, CreatedBy: "ada", Replaces: old.ID}
	if diff := cmp.Diff(want, fresh); diff != "" || fresh.ID == old.ID {
		t.Errorf("the new key (-want +got):\n%s", diff)
	}
	if !opens(briefly) || !opens(oldSecret) || !opens(freshSecret) {
		t.Error("one of them does not open yet")
	}
	if _, _, err := s.Rotate(t.Context(), old.ID, "ada", 24*time.Hour); err != nil {
		t.Error(err)
	}
	later.Store(int64(time.Hour))
	if opens(briefly) || opens(oldSecret) || !opens(freshSecret) {
		t.Error("after an hour the brief and the old one are over, even if the old one was rotated again for longer, and the new one is not")
	}
	for _, id := range []string{brief.ID, old.ID, "nobody00"} {
		if _, _, err := s.Rotate(t.Context(), id, "ada", 0); !errors.Is(err, access.ErrNoKey) {
			t.Errorf("rotating %s, which does not work: %v", id, err)
		}
	}
	for range 2 {
		if err := s.Revoke(t.Context(), fresh.ID); err != nil {
			t.Error(err)
		}
	}
	if opens(freshSecret) {
		t.Error("a revoked key opens")
	}
	if err := s.Revoke(t.Context(), "nobody00"); !errors.Is(err, access.ErrNoKey) {
		t.Error(err)
	}
	all, err := s.List(t.Context(), "billing")
	if err != nil || len(all) != 3 || all[0].ID != old.ID {
		t.Errorf("of billing: %+v, %v", all, err)
	}
	if all, err = s.List(t.Context(), access.Everywhere); err != nil || len(all) != 4 {
		t.Errorf("all: %+v, %v", all, err)
	}
}

func TestAKeyThatCannotBeSaysEveryFault(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "access.db"))
	_, _, err := s.Create(t.Context(), access.Key{Name: "a\nb", Namespace: "a.b", Expires: time.Now().Add(-time.Hour)})
	for _, fault := range []string{"its name is", "no role", "namespace", "expired already"} {
		if err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%v does not say %q", err, fault)
		}
	}
}

// Two processes have the file open: what one does, the other sees.
func TestAKeyMadeElsewhereOpensAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.db")
	server, command := open(t, path), open(t, path)
	k, secret := make1(t, command, access.Key{Name: "ci", Role: access.Reader, Namespace: "default"})
	if _, err := server.Authenticate(t.Context(), secret); err != nil {
		t.Error(err)
	}
	if err := command.Revoke(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Authenticate(t.Context(), secret); !errors.Is(err, access.ErrUnknown) {
		t.Errorf("revoked elsewhere: %v", err)
	}
}

func TestChangesAreKeptInOrderWithTheirOutcomes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.db")
	s := open(t, path)
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	var asking sync.WaitGroup
	for i := range 50 {
		asking.Go(func() {
			n, err := s.Ask(t.Context(), access.Change{Time: at, Who: fmt.Sprint("u", i%5), Role: access.Operator, Namespace: []string{"a", "b"}[i%2], Credential: "key x", From: "127.0.0.1", What: "cancelSaga", Target: fmt.Sprint("s", i)})
			if err != nil {
				t.Error(err)
			}
			if i > 0 { // of one it is never known
				s.Answer(n, access.Outcome{Status: 200 + i, Note: "n", Target: fmt.Sprint("t", i), Time: at.Add(time.Second)})
			}
		})
	}
	asking.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ask(t.Context(), access.Change{}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	s = open(t, path)
	read := func(f access.ChangeFilter) []access.Change {
		t.Helper()
		changes, err := s.Changes(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		return changes
	}
	all := read(access.ChangeFilter{})
	if len(all) != 50 || all[0].N != 50 || all[49].N != 1 {
		t.Fatalf("%d lines", len(all))
	}
	for _, c := range all {
		var i int
		if _, err := fmt.Sscanf(c.Target, "s%d", &i); err != nil {
			t.Fatal(err)
		}
		want := access.Outcome{Status: 200 + i, Note: "n", Target: fmt.Sprint("t", i), Time: at.Add(time.Second)}
		if i == 0 {
			want = access.Outcome{}
		}
		if c.Outcome != want || c.Who != fmt.Sprint("u", i%5) || !c.Time.Equal(at) || c.Role != access.Operator {
			t.Errorf("%+v", c)
		}
	}
	for name, x := range map[string]struct {
		f access.ChangeFilter
		n int
	}{
		"namespace": {access.ChangeFilter{Namespace: "a"}, 25}, "everywhere": {access.ChangeFilter{Namespace: access.Everywhere}, 50}, "who": {access.ChangeFilter{Who: "u1"}, 10},
		"target": {access.ChangeFilter{Target: "s7"}, 1}, "later target": {access.ChangeFilter{Target: "t7"}, 1}, "what": {access.ChangeFilter{What: "startSaga"}, 0},
		"before": {access.ChangeFilter{Before: at}, 0}, "since": {access.ChangeFilter{After: at}, 50}, "limit": {access.ChangeFilter{Limit: 7}, 7}, "below": {access.ChangeFilter{Below: 11}, 10},
	} {
		if got := len(read(x.f)); got != x.n {
			t.Errorf("%s: %d lines, want %d", name, got, x.n)
		}
	}
}

func TestTheAuditLogIsAppendOnly(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "access.db"))
	n, err := s.Ask(t.Context(), access.Change{Time: time.Now(), Who: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	s.Answer(n, access.Outcome{Status: 200, Time: time.Now()})
	if _, err := s.Ask(t.Context(), access.Change{Time: time.Now()}); err != nil { // behind which the answer is written
		t.Fatal(err)
	}
	for _, query := range []string{"UPDATE changes SET who = 'eve'", "UPDATE answers SET status = 403", "DELETE FROM changes", "DELETE FROM answers",
		"INSERT OR REPLACE INTO answers VALUES (1, 0, 500, '', '', '')", "REPLACE INTO changes VALUES (1, 0, 'eve', '', '', '', '', '', '')"} {
		if _, err := s.db.ExecContext(t.Context(), query); err == nil {
			t.Errorf("%s was done", query)
		}
	}
}

func TestOldLinesAreDeletedAndYoungOnesKept(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "access.db"))
	now := time.Now()
	for _, age := range []int{500, 401, 399, 1} {
		at := now.AddDate(0, 0, -age)
		n, err := s.Ask(t.Context(), access.Change{Time: at, Who: fmt.Sprint(age)})
		if err != nil {
			t.Fatal(err)
		}
		s.Answer(n, access.Outcome{Status: 200, Time: at})
	}
	if err := s.commit(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if more := s.prune(context.WithoutCancel(t.Context())); more {
		t.Error("more is left than a batch")
	}
	changes, err := s.Changes(t.Context(), access.ChangeFilter{})
	if err != nil || len(changes) != 2 || changes[0].Who != "1" || changes[1].Who != "399" {
		t.Errorf("%+v, %v", changes, err)
	}
}

func TestAFileOfAnotherProgramIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "other.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE keys (id TEXT)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Path: path}); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("%v", err)
	}
}
