//go:build !linux

package participanttest

import "testing"

// PostgreSQL is a real server for tests. Starting one is implemented for Linux only.
type PostgreSQL struct{}

// StartPostgreSQL skips the test, with the reason.
func StartPostgreSQL(t *testing.T) *PostgreSQL {
	t.Helper()
	t.Skip("SKIPPED: tests start PostgreSQL on Linux only")
	return nil
}

// Database is never reached: StartPostgreSQL skipped the test.
func (p *PostgreSQL) Database(t *testing.T) string {
	t.Helper()
	t.Fatal("there is no server")
	return ""
}
