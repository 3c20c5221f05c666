package declarative

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/internal/filelock"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
)

// RegistryConfig says what a registry keeps, and what else there is.
type RegistryConfig struct {
	// Folder keeps definitions and participants. It is made if it is not there, and used by one process at a time. It belongs to the store: whoever restores one restores both. Required.
	Folder string
	// Others are participants that the program has by itself, whose names nobody can enter.
	Others map[string]skald.Participant
	// Egress is the way out of calls, with its rules on where they may go. Default: one of its own.
	Egress *httpparticipant.Egress
	// Around is put around what makes the calls of a participant, once for each, such as traces.Tracer.Invoker. Default: nothing.
	Around func(participant.Invoker) participant.Invoker
	// Broker says that sagas are choreographed: participants take part by themselves over a broker, so that a definition may name some that have no address.
	Broker bool
}

// Registry keeps definitions and participants, and gives them to an engine while it runs. It may be used concurrently.
type Registry struct {
	RegistryConfig
	reader *Reader
	lock   *filelock.Lock

	mu           sync.Mutex
	definitions  []*Definition // in the order in which they were kept
	last         int           // number of the last definition's file
	participants map[string]*entry
	register     func(context.Context, []skald.Registered, map[string]skald.Participant) error
}

// OpenRegistry reads what a folder keeps. The error lists everything that keeps it from being used, such as a definition that was changed after it was kept.
func OpenRegistry(c RegistryConfig) (*Registry, error) {
	if c.Folder == "" {
		return nil, errors.New("declarative: Folder is missing; give one beside the store's file")
	}
	reader, err := NewReader()
	if err != nil {
		return nil, err
	}
	if c.Around == nil {
		c.Around = func(i participant.Invoker) participant.Invoker { return i }
	}
	if c.Egress == nil {
		c.Egress = httpparticipant.NewEgress(httpparticipant.EgressConfig{})
	}
	r := &Registry{RegistryConfig: c, reader: reader, participants: make(map[string]*entry)}
	if err := os.MkdirAll(filepath.Join(c.Folder, definitionsFolder), 0o700); err != nil {
		return nil, fmt.Errorf("declarative: the registry's folder cannot be made: %w", err)
	}
	if r.lock, err = filelock.Acquire(filepath.Join(c.Folder, "lock"), "the registry in "+c.Folder); err != nil {
		return nil, fmt.Errorf("declarative: %w", err)
	}
	if err := errors.Join(r.loadParticipants(), r.loadDefinitions()); err != nil {
		return nil, errors.Join(err, r.lock.Release())
	}
	return r, nil
}

// Close lets another process use the folder. Nothing may be entered any more, and calls go on.
func (r *Registry) Close() error { return r.lock.Release() }

// Sagas are the definitions, in the order in which they were kept: what skald.Config and whoever else reads definitions at the start takes.
func (r *Registry) Sagas() []skald.Registered {
	r.mu.Lock()
	defer r.mu.Unlock()
	sagas := make([]skald.Registered, len(r.definitions))
	for i, d := range r.definitions {
		sagas[i] = d
	}
	return sagas
}

// Definitions are the definitions, in the order in which they were kept.
func (r *Registry) Definitions() []*Definition {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.definitions)
}

// Participants are those of the registry and the program's others, as skald.Config takes them. One whose address changes is called at its new one from then on.
func (r *Registry) Participants() map[string]skald.Participant {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.callable()
}

// callable are all participants. The lock is held.
func (r *Registry) callable() map[string]skald.Participant {
	all := maps.Clone(r.Others)
	if all == nil {
		all = make(map[string]skald.Participant, len(r.participants))
	}
	for name, e := range r.participants {
		all[name] = e.participant()
	}
	return all
}

// Attach says who takes what is registered from now on: an engine's Register, or a function that passes it to everybody concerned.
func (r *Registry) Attach(register func(context.Context, []skald.Registered, map[string]skald.Participant) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.register = register
}

// Define reads a definition, keeps it and registers it with the engine. When it returns nil it is durable and can be started. existed says that this version was there already: then nothing changed, and what is the latest
// stays so. The error is *skald.Faults if something is wrong with the definition; then nothing was kept. file is what faults name.
func (r *Registry) Define(ctx context.Context, file string, text []byte) (d skald.Registered, existed bool, err error) {
	read, err := r.reader.Read(file, text)
	if err != nil {
		return nil, false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.IndexFunc(r.definitions, func(x *Definition) bool { return x.Name() == read.Name() && x.Version() == read.Version() }); i >= 0 {
		return r.definitions[i], true, nil
	}
	if faults := r.strangers(read); len(faults) > 0 {
		return nil, false, all(read.doc, faults)
	}
	kept, err := r.keepDefinition(read)
	if err != nil {
		return nil, false, err
	}
	if r.register != nil {
		if err := r.register(ctx, []skald.Registered{read}, r.callable()); err != nil {
			return nil, false, errors.Join(placed(read, err), kept.drop())
		}
	}
	r.definitions, r.last = append(r.definitions, read), r.last+1
	return read, false, nil
}

// Check reads a definition as Define does, and says what is wrong with it, without keeping it.
func (r *Registry) Check(file string, text []byte) (skald.Registered, error) {
	read, err := r.reader.Read(file, text)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if faults := r.strangers(read); len(faults) > 0 {
		return nil, all(read.doc, faults)
	}
	return read, nil
}

// strangers finds participants that nobody has entered, or that have no address. The lock is held.
func (r *Registry) strangers(d *Definition) (faults []skald.Fault) {
	callable := r.callable()
	seen := make(map[string]bool)
	for _, s := range d.Steps() {
		for _, member := range []string{"action", "compensation"} {
			operation := s.Action
			if member == "compensation" {
				operation = s.Compensation
			}
			owner, _, _ := strings.Cut(operation, ".")
			p, known := callable[owner]
			if operation == "" || seen[owner] || r.Broker || known && p.Invoker != nil {
				continue
			}
			seen[owner] = true
			problem, mend := fmt.Sprintf("nobody has entered the participant %q", owner), "enter it with PUT /v1/participants/"+owner+", or in participants.yaml"
			if known {
				problem, mend = fmt.Sprintf("the participant %q has no URL, and whoever orchestrates calls it", owner), "enter one with PUT /v1/participants/"+owner+", or as url in participants.yaml"
			}
			mend += "; or, if it takes part by itself over a broker, serve choreographed sagas only (skald serve --mode=choreographed)"
			faults = append(faults, skald.Fault{Step: s.Name, Member: member, At: d.At(s.Name, member), Problem: problem, Mend: mend})
		}
	}
	return faults
}

// placed says where the faults are written that an engine found.
func placed(d *Definition, err error) error {
	var faults *skald.Faults
	if !errors.As(err, &faults) {
		return err
	}
	list := slices.Clone(faults.List)
	for i := range list {
		list[i].At = place(d.doc, list[i])
	}
	return all(d.doc, list)
}

// Addresses are the participants that were entered, by name.
func (r *Registry) Addresses() map[string]participant.Address {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := make(map[string]participant.Address, len(r.participants))
	for name, e := range r.participants {
		found[name] = e.address
	}
	return found
}

// Enter keeps where a participant is called, and calls it there from then on; calls under way go on. When it returns nil it is durable. existed says that it had been entered before. The error wraps participant.ErrEntry if it
// cannot be entered like this.
func (r *Registry) Enter(_ context.Context, name string, at participant.Address) (existed bool, err error) {
	if why := participant.CheckName(name); why != "" || strings.Contains(name, ".") {
		return false, fmt.Errorf("%w: %q cannot be a participant's name: use what its operations begin with, such as stock of stock.reserve", participant.ErrEntry, name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ours := r.Others[name]; ours {
		return false, fmt.Errorf("%w: %s is a part of this program: enter the other one under another name", participant.ErrEntry, name)
	}
	if err := r.Egress.Allows(at.URL); err != nil { // of one that was kept by an older program, calls say it
		return false, fmt.Errorf("%w: no call would go there: %w. Give the address of the service itself", participant.ErrEntry, err)
	}
	old := r.participants[name]
	next, err := r.newEntry(old, name, at)
	if err != nil {
		return old != nil, err
	}
	entries := maps.Clone(r.participants)
	entries[name] = next
	if err := r.keepParticipants(entries); err != nil {
		return old != nil, err
	}
	next.caller.at(next.client)
	r.participants = entries
	return old != nil, nil
}

// Remove takes a participant out. The error wraps participant.ErrNotEntered if it is not there, and participant.ErrEntry while definitions name it.
func (r *Registry) Remove(_ context.Context, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.participants[name]
	if old == nil {
		return fmt.Errorf("%w: %.100q", participant.ErrNotEntered, name)
	}
	for _, d := range r.definitions {
		for _, s := range d.Steps() {
			if s.Participant() == name || strings.HasPrefix(s.Compensation, name+".") {
				return fmt.Errorf("%w: step %s of definition %s %s names %s, and sagas of it may run: definitions are kept for ever, so enter another address instead", participant.ErrEntry, s.Name, d.Name(), d.Version(), name)
			}
		}
	}
	entries := maps.Clone(r.participants)
	delete(entries, name)
	if err := r.keepParticipants(entries); err != nil {
		return err
	}
	old.caller.at(nil)
	r.participants = entries
	return nil
}
