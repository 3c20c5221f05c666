package sqlitestore

import (
	"context"

	"github.com/skaldhq/skald/store"
)

// SaveDefinition implements store.Store.
func (s *Store) SaveDefinition(ctx context.Context, d store.Definition) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.life.RUnlock()
	if err := s.write.begin(ctx); err != nil {
		return err
	}
	defer s.write.end()
	canonical := append([]byte{}, d.Canonical...) // nil would be NULL
	return s.write.transaction(func() error {
		return s.write.exec("INSERT INTO definitions (name, version, canonical) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", d.Name, d.Version, canonical)
	})
}

// Definitions implements store.Store.
func (s *Store) Definitions(ctx context.Context) ([]store.Definition, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	rows, err := s.readers.QueryContext(ctx, "SELECT name, version, canonical FROM definitions ORDER BY name, n")
	if err != nil {
		return nil, readError(err)
	}
	defer rows.Close()
	var all []store.Definition
	for rows.Next() {
		var d store.Definition
		if err := rows.Scan(&d.Name, &d.Version, &d.Canonical); err != nil {
			return nil, readError(err)
		}
		all = append(all, d)
	}
	if err := rows.Err(); err != nil {
		return nil, readError(err)
	}
	return all, nil
}
