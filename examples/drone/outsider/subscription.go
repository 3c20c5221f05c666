package outsider

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/skaldhq/skald/examples/problem"
)

// Limits of subscriptions: anybody who reaches the service can make them.
const (
	maxSubscriptions = 200
	maxURL           = 2000
	maxTypes         = 50
	maxName          = 200
)

// errTooMany says that there is no room for another subscription.
var errTooMany = errors.New("too many subscriptions")

// filter selects events. Its JSON is canonical: the same wish is the same text.
type filter struct {
	Types  []string `json:"types,omitempty"`         // sorted; none: all
	Prefix string   `json:"subjectPrefix,omitempty"` // of the subject, which is the delivery's id
}

func (f filter) text() string {
	text, err := json.Marshal(f)
	if err != nil {
		panic(err) // strings and slices of them can always be written
	}
	return string(text)
}

func (f filter) matches(kind, subject string) bool {
	return (len(f.Types) == 0 || slices.Contains(f.Types, kind)) && strings.HasPrefix(subject, f.Prefix)
}

// subscription is one row.
type subscription struct {
	ID        string
	URL       string
	Filter    filter
	Secret    string
	Token     string
	Callback  string
	Validated time.Time // zero: not yet
	Withheld  bool      // asked, and not agreed
	Rate      int       // per minute; 0: any
	Failures  int
	Paused    time.Time
	Note      string
	Created   time.Time
	Waiting   int // only in lists
	Dead      int // only in lists
}

// wish is what an outsider asks for.
type wish struct {
	URL           string   `json:"url"`
	Types         []string `json:"types"`
	SubjectPrefix string   `json:"subjectPrefix"`
}

// check returns the canonical address and filter, or every fault.
func (w wish) check(loopback bool) (string, filter, []problem.Fault) {
	address, faults := checkAddress(w.URL, loopback)
	f := filter{Types: slices.Compact(slices.Sorted(slices.Values(w.Types))), Prefix: w.SubjectPrefix}
	if len(f.Types) > maxTypes {
		faults = append(faults, problem.Fault{Field: "types", Detail: fmt.Sprintf("name at most %d types, or none for all", maxTypes)})
	}
	if slices.ContainsFunc(f.Types, func(t string) bool { return t == "" || len(t) > maxName }) {
		faults = append(faults, problem.Fault{Field: "types", Detail: fmt.Sprintf("a type has 1 to %d bytes, such as DeliveryCompleted", maxName)})
	}
	if len(f.Prefix) > maxName {
		faults = append(faults, problem.Fault{Field: "subjectPrefix", Detail: fmt.Sprintf("give at most %d bytes", maxName)})
	}
	return address, f, faults
}

func checkAddress(address string, loopback bool) (string, []problem.Fault) {
	u, err := url.Parse(address)
	wrong := func(detail string) (string, []problem.Fault) {
		return "", []problem.Fault{{Field: "url", Detail: detail}}
	}
	unusable := fmt.Sprintf("give an absolute address such as https://example.org/events, of at most %d bytes", maxURL)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "" || strings.Contains(u.Host, "%"): // the zone of an address, which is one of its own machine's
		return wrong(unusable)
	case u.User != nil || u.Fragment != "":
		return wrong("leave out user, password and fragment: events are signed, so put no secret into the address")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback):
		return wrong("use https: events and signatures must not be read on the way")
	}
	u.Host = strings.ToLower(u.Host)
	if u.Path == "" {
		u.Path = "/"
	}
	canonical := u.String() // in which what is not ASCII takes more bytes
	if len(address) > maxURL || len(canonical) > maxURL {
		return wrong(unusable)
	}
	return canonical, nil
}
