package participanttest

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// PostgreSQL is a real server for tests, on a Unix socket in a folder of its own.
type PostgreSQL struct {
	folder  string
	schemas atomic.Int32
}

// StartPostgreSQL runs a server until the test ends. It skips the test, with the reason, if the machine has none. It needs neither root nor
// a running server; as root it runs the server as another user, because PostgreSQL refuses root.
func StartPostgreSQL(t *testing.T) *PostgreSQL {
	t.Helper()
	bin := postgresFolder()
	if bin == "" {
		t.Skip("SKIPPED: PostgreSQL's server programs (initdb, postgres) are neither in PATH nor in /usr/lib/postgresql; install the package postgresql")
	}
	folder, err := os.MkdirTemp("", "skald-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	attr := asSomebodyElse(t, folder)
	data := filepath.Join(folder, "data")
	create := exec.Command(filepath.Join(bin, "initdb"), "--auth=trust", "--username=skald", "--no-sync", "--encoding=UTF8", "--locale=C", "--pgdata="+data)
	create.SysProcAttr, create.Dir = attr, folder
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", folder, "-c", "listen_addresses=",
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=200")
	server.SysProcAttr, server.Dir = attr, folder
	var log bytes.Buffer
	server.Stdout, server.Stderr = &log, &log
	run(t, server, &log)
	p := &PostgreSQL{folder: folder}
	p.awaitReady(t)
	return p
}

// Database makes an empty schema and returns its address for the driver "pgx". A schema is as good as a database here, and is made 20 times as fast.
func (p *PostgreSQL) Database(t *testing.T) string {
	t.Helper()
	admin, err := sql.Open("pgx", p.dsn())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close() }()
	name := fmt.Sprintf("test%d", p.schemas.Add(1))
	if _, err := admin.Exec("CREATE SCHEMA " + name); err != nil {
		t.Fatalf("creating schema %s: %v", name, err)
	}
	return p.dsn() + " search_path=" + name
}

func (p *PostgreSQL) dsn() string {
	return fmt.Sprintf("host=%s user=skald dbname=postgres", p.folder)
}

func (p *PostgreSQL) awaitReady(t *testing.T) {
	t.Helper()
	db, err := sql.Open("pgx", p.dsn())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		if err = db.PingContext(ctx); err == nil {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("PostgreSQL does not answer: %v", err)
		}
	}
}

func postgresFolder() string {
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(initdb); err == nil {
			return filepath.Dir(real)
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is well-formed
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(slices.Max(found))
}

// asSomebodyElse gives the folder to a user who is not root, if we are root, and returns how to run a program as that user. The program
// is killed when this process ends, however it ends.
func asSomebodyElse(t *testing.T, folder string) *syscall.SysProcAttr {
	t.Helper()
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		return attr
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr != nil || gidErr != nil || os.Chown(folder, int(uid), int(gid)) != nil {
			continue
		}
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return attr
	}
	t.Skip("SKIPPED: running as root, and there is neither a user postgres nor nobody to run PostgreSQL as")
	return nil
}

// run starts the server and stops it when the test ends.
func run(t *testing.T, server *exec.Cmd, log *bytes.Buffer) {
	t.Helper()
	started, ended := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the kernel's "parent died" means the thread that started it
		err := server.Start()
		started <- err
		if err == nil {
			ended <- server.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("starting PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGQUIT) // it may have ended by itself; Wait tells
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			_ = server.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("PostgreSQL said:\n%s", log)
		}
	})
}
