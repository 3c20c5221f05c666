package orchestration

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skaldhq/skald/bench/figure"
	"github.com/skaldhq/skald/bench/load"
)

// What a part does.
const (
	doLoad    = "load"
	doFill    = "fill"
	doSleep   = "sleep"
	doStartup = "startup"
)

// What is measured.
const (
	subjectFloor  = "calls"
	subjectSynced = "synced" // the calls between two synced writes
	subjectHand   = "hand.sqlite"
	subjectSkald  = "skald.sqlite"
)

// The ways to what runs the sagas.
const (
	throughLibrary = "library" // in the program that starts the sagas
	throughAPI     = "api"     // over HTTP, from a process of its own
)

// The ways through the order.
const (
	pathHappy   = "happy"
	pathRefused = "refused"
	pathPivot   = "pivot" // happy, with a point of no return
)

// part is what one process measures.
type part struct {
	Do       string        `json:"do"`
	Subject  string        `json:"subject"`
	Through  string        `json:"through"` // of Skald, and of the calls: library if it is empty
	Strict   bool          `json:"strict"`
	Path     string        `json:"path"`
	Lanes    int           `json:"lanes"`
	Slice    time.Duration `json:"slice"`
	Dir      string        `json:"dir"`
	Address  string        `json:"address"`
	N        int           `json:"n"`        // sagas to fill in, to send to sleep or to start up with
	Open     bool          `json:"open"`     // of those to fill in: they have no outcome
	MaxOpen  int           `json:"max_open"` // of the engine
	Failures int           `json:"failures"` // of its participants
	Profiles string        `json:"profiles"` // folder for a profile of the processor
}

// figures are what a part measured, by the last word of their names.
type figures map[string]float64

func (p *part) name() string {
	switch {
	case p.Do != doLoad:
		return p.Do
	case p.Subject == subjectFloor && p.Through == throughAPI:
		return fmt.Sprintf("%s.%s.c%d", p.Subject, p.Through, p.Lanes)
	case p.Subject == subjectFloor || p.Subject == subjectSynced:
		return fmt.Sprintf("%s.c%d", p.Subject, p.Lanes)
	case p.Subject != subjectSkald:
		return fmt.Sprintf("%s.%s.c%d", p.Subject, p.Path, p.Lanes)
	}
	return fmt.Sprintf("%s.%s.%s.%s.c%d", p.Subject, p.policy(), p.Through, p.Path, p.Lanes)
}

// bare says whether the part is the calls and nothing else, which everything is compared with.
func (p *part) bare() bool { return p.Subject == subjectFloor && p.Through == "" }

func (p *part) policy() string {
	if p.Strict {
		return "strict"
	}
	return "lazy"
}

// profile begins to record where the processor's time goes, if that is asked for.
func (p *part) profile() (stop func() error, err error) {
	if p.Do == doFill {
		return load.Profile("", "")
	}
	return load.Profile(p.Profiles, p.name())
}

func (p *part) measure(ctx context.Context) (figures, error) {
	switch p.Do {
	case doLoad:
		return p.load(ctx)
	case doFill:
		return nil, p.fill(ctx)
	case doSleep:
		return p.sleep(ctx)
	case doStartup:
		return p.startup(ctx)
	}
	return nil, fmt.Errorf("there is nothing to do called %q", p.Do)
}

func (p *part) open(ctx context.Context) (subject, error) {
	switch {
	case p.Subject == subjectFloor && p.Through == throughAPI:
		return openBareAPI(ctx, p)
	case p.Subject == subjectFloor:
		client, err := wire(p.Address)
		return &floor{client}, err
	case p.Subject == subjectSynced:
		return openSynced(p)
	case p.Subject == subjectHand:
		return openHand(ctx, p)
	case p.Subject == subjectSkald && p.Through == throughLibrary:
		return openLibrary(ctx, p)
	case p.Subject == subjectSkald && p.Through == throughAPI:
		return openAPI(ctx, p)
	}
	return nil, fmt.Errorf("there is no subject called %q through %q", p.Subject, p.Through)
}

// load runs sagas for a time, after a short while in which connections, files and caches grow.
func (p *part) load(ctx context.Context) (f figures, err error) {
	s, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop(context.WithoutCancel(ctx))) }()
	put := func(ctx context.Context, d time.Duration) (c crowd, err error) {
		c.Took, err = load.Run(ctx, p.Lanes, d, func(ctx context.Context) error { return s.one(ctx, p.order()) })
		return c, err
	}
	if far, ok := s.(distant); ok {
		put = far.put
	}
	if _, err := put(ctx, p.Slice/3); err != nil {
		return nil, err
	}
	n, carried := s.commits()
	began, cpu, written := time.Now(), load.CPU(), load.Written()
	c, err := put(ctx, p.Slice)
	if err != nil {
		return nil, err
	}
	took := c.Took
	used, wrote, elapsed := load.CPU()-cpu, load.Written()-written, time.Since(began)
	n2, carried2 := s.commits()
	sagas := float64(max(len(took), 1))
	f = figures{
		"rate": sagas / elapsed.Seconds(), "p50": ms(figure.Quantile(took, .5)), "p99": ms(figure.Quantile(took, .99)), "cpu": ms(used) / sagas,
		"bytes": float64(wrote) / sagas, "waits": float64(carried2-carried) / sagas, "commits": float64(n2-n) / sagas, "rss": float64(load.RSS()) / (1 << 20),
	}
	if c.CPU > 0 {
		f["load_cpu"] = ms(c.CPU) / sagas
	}
	return f, nil
}

// order is what is ordered on the part's path.
func (p *part) order() order { return order{SKU: "CAF-001", Amount: 1, Refuse: p.Path == pathRefused} }

func ms(d time.Duration) float64 { return d.Seconds() * 1e3 }
