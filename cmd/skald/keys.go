package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/access/sqliteaccess"
	"github.com/skaldhq/skald/httpapi"
)

// keysCommand is "skald keys …". It works on the file itself, so that the first key can be made, and beside a server that has it open.
type keysCommand struct {
	Create keyCreate `cmd:"" help:"Make an API key and print it: it is shown once."`
	List   keyList   `cmd:"" help:"List API keys."`
	Rotate keyRotate `cmd:"" help:"Make a key that takes another one's place, and print it."`
	Revoke keyRevoke `cmd:"" help:"End a key at once."`
}

// keyStore says whose keys they are.
type keyStore struct {
	Data string `help:"Folder of the server's data." default:"skald-data" env:"SKALD_DATA" placeholder:"DIR" type:"path"`
	Output
}

// with does something with the store. Only the first key makes one: where none is, --data is mistyped.
func (s *keyStore) with(w *world, makes bool, do func(*sqliteaccess.Store) error) (err error) {
	file := filepath.Join(s.Data, accessFile)
	if _, err := os.Stat(file); err != nil && !makes {
		return usage(fmt.Errorf("there are no keys in %s: give the folder of the server's data with --data, or make the first key with \"skald keys create\"", s.Data))
	}
	if err := os.MkdirAll(s.Data, 0o700); err != nil {
		return err
	}
	store, err := sqliteaccess.Open(w.ctx, sqliteaccess.Config{Path: file})
	if err != nil {
		return err
	}
	defer func() {
		if wrong := store.Close(); err == nil {
			err = wrong
		}
	}()
	return do(store)
}

// printMade prints a key that is new: it is shown this once.
func (s *keyStore) printMade(w *world, k *access.Key, secret string) error {
	if s.JSON {
		return printJSON(w, httpapi.MadeKey{Key: httpapi.KeyOf(k), Secret: secret})
	}
	_, err := fmt.Fprintln(w.stdout, secret)
	return err
}

// by is who makes and ends keys here: whoever may write to the file.
const by = "skald keys"

type keyCreate struct {
	keyStore
	Name      string `arg:"" help:"Whose it is: who decided, in journals and in the audit log."`
	Role      string `help:"What it may do." enum:"reader,operator,admin" required:"" placeholder:"ROLE"`
	Namespace string `help:"The namespace that it sees, or * for all." default:"*" placeholder:"NAME"`
	Expires   length `help:"How long it is good for, such as 720h; without, until it is revoked." placeholder:"TIME"`
}

// Run runs the command.
func (c *keyCreate) Run(w *world) error {
	k := access.Key{Name: c.Name, Namespace: c.Namespace, CreatedBy: by}
	if err := k.Role.UnmarshalText([]byte(c.Role)); err != nil {
		return usage(err)
	}
	if c.Expires != 0 {
		k.Expires = time.Now().Add(time.Duration(c.Expires))
	}
	if err := k.Check(time.Now()); err != nil {
		return usage(err)
	}
	return c.with(w, true, func(s *sqliteaccess.Store) error {
		k, secret, err := s.Create(w.ctx, k)
		if err != nil {
			return err
		}
		return c.printMade(w, &k, secret)
	})
}

type keyList struct{ keyStore }

// Run runs the command.
func (c *keyList) Run(w *world) error {
	return c.with(w, false, func(s *sqliteaccess.Store) error {
		keys, err := s.List(w.ctx, access.Everywhere)
		if err != nil {
			return err
		}
		for i := range keys {
			k, state := httpapi.KeyOf(&keys[i]), "valid"
			if c.JSON {
				if err := printJSON(w, k); err != nil {
					return err
				}
				continue
			}
			if !k.Valid {
				state = "over"
			}
			fmt.Fprintf(w.stdout, "%-8s  %-5s  %-8s  %-12s  %s\n", k.ID, state, k.Role, k.Namespace, k.Name)
		}
		return nil
	})
}

type keyRotate struct {
	keyStore
	ID      string `arg:"" help:"The key's id: the part behind skald_."`
	Overlap length `help:"How long the old key goes on working." default:"0s" placeholder:"TIME"`
}

// Run runs the command.
func (c *keyRotate) Run(w *world) error {
	return c.with(w, false, func(s *sqliteaccess.Store) error {
		k, secret, err := s.Rotate(w.ctx, c.ID, by, time.Duration(c.Overlap))
		if err != nil {
			return err
		}
		return c.printMade(w, &k, secret)
	})
}

type keyRevoke struct {
	keyStore
	ID string `arg:"" help:"The key's id: the part behind skald_."`
}

// Run runs the command.
func (c *keyRevoke) Run(w *world) error {
	return c.with(w, false, func(s *sqliteaccess.Store) error { return s.Revoke(w.ctx, c.ID) })
}
