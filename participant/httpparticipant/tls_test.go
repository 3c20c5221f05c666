package httpparticipant_test

import (
	"crypto/tls"
	"testing"

	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/access/accesstest"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
)

// A participant that asks for certificates is called with the coordinator's, and by nobody else.
func TestAParticipantKnowsItsCallerByItsCertificate(t *testing.T) {
	ca := accesstest.NewCA(t)
	of := ca.Issue(t, "stock")
	of.From = []string{"coordinator"}
	config, err := of.Server()
	if err != nil {
		t.Fatal(err)
	}
	sevens := plain(func(participant.Call) participant.Answer {
		return participant.Answer{Class: participant.Done, Result: []byte("7")}
	})
	address := accesstest.Serve(t, httpparticipant.Handler(sevens, httpparticipant.HandlerConfig{}), config)
	call := func(c access.Certificates) participant.Answer {
		t.Helper()
		var client *tls.Config
		if client, err = c.Client(); err != nil {
			t.Fatal(err)
		}
		a, err := callAt(t, httpparticipant.EgressConfig{TLS: client}, address)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := call(ca.Issue(t, "coordinator")); a.Class != participant.Done || string(a.Result) != "7" {
		t.Errorf("the coordinator gets %s (%s)", a.Class, a.Detail)
	}
	for name, c := range map[string]access.Certificates{"another program": ca.Issue(t, "shop"), "nobody": {CA: ca.File}, "who does not trust it": accesstest.NewCA(t).Issue(t, "coordinator")} {
		if a := call(c); a.Class != participant.Unknown {
			t.Errorf("%s gets %s (%s)", name, a.Class, a.Result)
		}
	}
}
