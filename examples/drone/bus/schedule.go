package bus

import (
	"database/sql"
	"fmt"
	"time"
)

// Micros is a time as the services' tables keep it: microseconds since 1970, or NULL for nil and for the zero time.
func Micros(t *time.Time) sql.NullInt64 {
	if t == nil || t.IsZero() {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: true}
}

// Moment is a time that may be NULL in a table. It is a sql.Scanner.
type Moment struct{ time.Time }

// Scan reads microseconds since 1970, or NULL as the zero time.
func (m *Moment) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		m.Time = time.Time{}
	case int64:
		m.Time = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("a time is kept as microseconds, not as %T", value)
	}
	return nil
}

// Schedule is what was agreed about when.
type Schedule struct {
	Pickup Moment `json:"pickupTime,omitzero"`
	Limit  Moment `json:"deadline,omitzero"`
}
