package declarative

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/internal/ownfile"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
)

// entry is a participant that was entered.
type entry struct {
	address participant.Address
	client  *httpparticipant.Client // nil without an address
	caller  *caller                 // the same one for as long as the participant is entered
	invoker participant.Invoker     // the caller, and what is around it
}

// newEntry makes an entry. A name that is entered already keeps its caller, which engines have.
func (r *Registry) newEntry(old *entry, name string, at participant.Address) (*entry, error) {
	if at.Level < participant.L0 || at.Level > participant.L2 {
		return nil, fmt.Errorf("%w: %s states no level: say L2 if it writes key, answer and change in one transaction, L1 behind a sidecar, otherwise L0", participant.ErrEntry, name)
	}
	if old != nil && old.address.Level != at.Level {
		return nil, fmt.Errorf("%w: %s is at level %s, and sagas that run count on it: change the level in participants.yaml while the program is stopped", participant.ErrEntry, name, old.address.Level)
	}
	e := &entry{address: at}
	if old != nil {
		e.caller, e.invoker = old.caller, old.invoker
	} else {
		e.caller = &caller{name: name}
		e.invoker = r.Around(e.caller)
	}
	if at.URL == "" {
		if at.Timeout != 0 || !r.Broker {
			return nil, fmt.Errorf("%w: %s has no URL: give one such as http://127.0.0.1:9001; or, if it takes part by itself over a broker, serve choreographed sagas only (skald serve --mode=choreographed)", participant.ErrEntry, name)
		}
		return e, nil
	}
	var err error
	e.client, err = httpparticipant.New(httpparticipant.Config{BaseURL: at.URL, Timeout: at.Timeout, Level: at.Level, Egress: r.Egress})
	if err != nil {
		return nil, fmt.Errorf("%w: %s", participant.ErrEntry, strings.ReplaceAll(strings.TrimPrefix(err.Error(), "httpparticipant: "), "\n", "; "))
	}
	return e, nil
}

// participant is the entry as an engine takes it.
func (e *entry) participant() skald.Participant {
	p := skald.Participant{Level: e.address.Level}
	if e.client != nil {
		p.Invoker = e.invoker
	}
	return p
}

// caller makes the calls of one participant, wherever it is just now.
type caller struct {
	name   string
	client atomic.Pointer[httpparticipant.Client]
}

func (c *caller) at(client *httpparticipant.Client) { c.client.Store(client) }

// Invoke implements participant.Invoker.
func (c *caller) Invoke(ctx context.Context, call participant.Call) participant.Answer {
	client := c.client.Load()
	if client == nil {
		return participant.Answer{Class: participant.Unknown, NotAsked: true, RetryAfter: time.Second, Detail: "participant " + c.name + " has no address, so nothing was sent: give it one with skald participants enter, or PUT /v1/participants/" + c.name}
	}
	return client.Invoke(ctx, call)
}

// Files of the folder.
const (
	participantsFile  = "participants.yaml"
	definitionsFolder = "definitions"
)

// loadParticipants reads who was entered.
func (r *Registry) loadParticipants() error {
	path := filepath.Join(r.Folder, participantsFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("declarative: %w", err)
	}
	addresses, err := ReadParticipants(path, text)
	if err != nil {
		return err
	}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(addresses)) {
		e, err := r.newEntry(nil, name, addresses[name])
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", path, err))
			continue
		}
		e.caller.at(e.client)
		r.participants[name] = e
	}
	return errors.Join(faults...)
}

// writtenEntry is a participant in the file.
type writtenEntry struct {
	URL     string `json:"url"`
	Level   string `json:"level"`
	Timeout string `json:"timeout"`
}

// ReadParticipants reads a file of participants (docs/declarative.md). The error is *skald.Faults with everything that is wrong.
func ReadParticipants(file string, text []byte) (map[string]participant.Address, error) {
	doc, faults := parse(file, text)
	if len(faults) > 0 {
		return nil, &skald.Faults{Definition: "of participants", List: faults}
	}
	add := func(at skald.Position, problem, mend string) {
		faults = append(faults, skald.Fault{At: at, Problem: problem, Mend: mend})
	}
	addresses := make(map[string]participant.Address)
	entered, form := doc.member("participants"), doc.member("skald")
	if entered == nil || entered.kind != object || form == nil || string(form.value) != "1" {
		add(doc.at, "it is no file of participants", `begin it with "skald: 1" and "participants:", and below that each participant's name with its url and level`)
		return nil, &skald.Faults{Definition: "of participants", List: faults}
	}
	for i, name := range entered.names {
		n := entered.nodes[i]
		var w writtenEntry
		d := json.NewDecoder(bytes.NewReader(n.json()))
		d.DisallowUnknownFields()
		if err := d.Decode(&w); err != nil {
			add(n.at, fmt.Sprintf("participant %s cannot be read: %s", name, strings.TrimPrefix(err.Error(), "json: ")), "give it url, level and, if it needs one, timeout")
			continue
		}
		a := participant.Address{URL: w.URL}
		for _, l := range []participant.Level{participant.L0, participant.L1, participant.L2} {
			if l.String() == w.Level {
				a.Level = l
			}
		}
		if a.Level == 0 {
			add(n.find([]string{"level"}).at, fmt.Sprintf("participant %s is at level %q", name, w.Level), "say L2 if it writes key, answer and change in one transaction, L1 behind a sidecar, otherwise L0")
		}
		if w.Timeout != "" {
			var err error
			if a.Timeout, err = time.ParseDuration(w.Timeout); err != nil || a.Timeout <= 0 {
				add(n.find([]string{"timeout"}).at, fmt.Sprintf("participant %s has the time-out %q", name, w.Timeout), "write it as 5s or 1m30s")
			}
		}
		addresses[name] = a
	}
	if len(faults) > 0 {
		return nil, &skald.Faults{Definition: "of participants", List: faults}
	}
	return addresses, nil
}

// keepParticipants writes who is entered. The lock is held.
func (r *Registry) keepParticipants(entries map[string]*entry) error {
	var b bytes.Buffer
	b.WriteString("# Written by the program while it runs; change it while the program is stopped.\nskald: 1\nparticipants:\n")
	if len(entries) == 0 {
		b.Reset()
		b.WriteString("skald: 1\nparticipants: {}\n")
	}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		a := entries[name].address
		fmt.Fprintf(&b, "  %s: {level: %s", quoted(name), a.Level)
		if a.URL != "" {
			fmt.Fprintf(&b, ", url: %s", quoted(a.URL))
		}
		if a.Timeout != 0 {
			fmt.Fprintf(&b, ", timeout: %s", a.Timeout)
		}
		b.WriteString("}\n")
	}
	return replace(filepath.Join(r.Folder, participantsFile), b.Bytes())
}

// kept is a definition's file.
type kept string

// drop takes the file of a definition away that nobody has seen.
func (k kept) drop() error {
	return errors.Join(os.Remove(string(k)), syncFolder(filepath.Dir(string(k))))
}

// keepDefinition writes a definition. The number in front of its name is its place in the order; nothing ever writes a file that is there. The lock is held.
func (r *Registry) keepDefinition(d *Definition) (kept, error) {
	name := fmt.Sprintf("%06d-%s-%s.yaml", r.last+1, d.Name(), d.Version())
	path := filepath.Join(r.Folder, definitionsFolder, name)
	return kept(path), replace(path, d.text)
}

// loadDefinitions reads the definitions in the order in which they were kept.
func (r *Registry) loadDefinitions() error {
	folder := filepath.Join(r.Folder, definitionsFolder)
	files, err := os.ReadDir(folder) // sorted by name
	if err != nil {
		return fmt.Errorf("declarative: %w", err)
	}
	var faults []error
	for _, f := range files {
		path := filepath.Join(folder, f.Name())
		number, rest, ok := strings.Cut(strings.TrimSuffix(f.Name(), ".yaml"), "-")
		var n int
		if _, err := fmt.Sscanf(number, "%d", &n); !ok || err != nil || !strings.HasSuffix(f.Name(), ".yaml") {
			if !strings.HasSuffix(f.Name(), ownfile.Unfinished) { // which a crash left
				faults = append(faults, fmt.Errorf("declarative: %s is no definition that was kept here: take it out; new ones are registered with POST /v1/definitions", path))
			}
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			faults = append(faults, fmt.Errorf("declarative: %w", err))
			continue
		}
		d, err := r.reader.Read(path, text)
		switch {
		case err != nil:
			faults = append(faults, err)
			continue
		case rest != d.Name()+"-"+d.Version():
			faults = append(faults, fmt.Errorf("declarative: %s was changed after it was kept (it is version %s now): restore it, and register the change as another definition", path, d.Version()))
			continue
		}
		if strange := r.strangers(d); len(strange) > 0 {
			faults = append(faults, all(d.doc, strange))
		}
		r.definitions, r.last = append(r.definitions, d), max(r.last, n)
	}
	return errors.Join(faults...)
}

// replace makes a file have a text, at once and durably: after a crash it has the old one or the new one.
func replace(path string, text []byte) error {
	err := ownfile.Replace(path, text, (*os.File).Sync)
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("declarative: keep %s: %w", path, err)
	}
	return nil
}

// syncFolder makes the names in a folder durable.
func syncFolder(path string) error { return ownfile.SyncFolder(path, (*os.File).Sync) }
