//go:build linux

package httpapi_test

import (
	"net/http"
	"path/filepath"
	"testing"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/access/sqliteaccess"
	"github.com/skaldhq/skald/declarative"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/internal/owndisk"
	"github.com/skaldhq/skald/webhook/sqlitewebhook"
)

// TestF20_WhatIsRegisteredOnAFullDiskIsRefusedForAMoment: not only starts say that there is no room, and all of it works once there is.
func TestF20_WhatIsRegisteredOnAFullDiskIsRefusedForAMoment(t *testing.T) {
	owndisk.Run(t, "8m", func(t *testing.T, dir string) {
		keys, err := sqliteaccess.Open(t.Context(), sqliteaccess.Config{Path: filepath.Join(dir, "access.db")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = keys.Close() })
		var r *declarative.Registry
		w := open(t, func(ec *skald.Config, hc *httpapi.Config) {
			if r, err = declarative.OpenRegistry(declarative.RegistryConfig{Folder: dir, Others: ec.Participants}); err != nil {
				t.Fatal(err)
			}
			hc.Registry, hc.Keys = r, keys
			hc.Door = &access.Door{Knows: []access.Authenticator{keys}}
		})
		r.Attach(w.engine.Register)
		t.Cleanup(func() { _ = r.Close() })
		sender, err := sqlitewebhook.Open(t.Context(), sqlitewebhook.Config{Path: filepath.Join(dir, "webhooks.db"), Source: w.engine, HTTP: http.DefaultClient})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = sender.Stop() })
		w.handler.Webhooks = sender
		_, secret, err := keys.Create(t.Context(), access.Key{Name: "root", Role: access.Admin, Namespace: access.Everywhere})
		if err != nil {
			t.Fatal(err)
		}
		credential := "Authorization: Bearer " + secret
		const form, yaml = "Content-Type: application/json", "Content-Type: application/yaml"
		asked := [][4]string{
			{http.MethodPut, "/v1/participants/trains", `{"url":"http://127.0.0.1:1","level":"L1"}`, form},
			{http.MethodPost, "/v1/definitions", tour, yaml},
			{http.MethodPut, "/v1/webhooks/crm", `{"url":"https://crm.example.org"}`, form},
			{http.MethodPost, "/v1/keys", `{"name":"wallboard","role":"reader","namespace":"default"}`, form},
		}
		if answer, body := w.request(t, http.MethodPut, "/v1/participants/buses", `{"url":"http://127.0.0.1:1","level":"L1"}`, form, credential); answer.StatusCode/100 != 2 {
			t.Fatalf("%s %s", answer.Status, body)
		}
		empty, err := owndisk.Fill(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range asked {
			answer, p := w.problem(t, x[0], x[1], x[2], x[3], credential)
			if answer.StatusCode != http.StatusServiceUnavailable || p.Type != httpapi.ProblemPrefix+"overload" || answer.Header.Get("Retry-After") == "" {
				t.Errorf("%s on a full disk: %s, %+v", x[1], answer.Status, p)
			}
		}
		if err := empty(); err != nil {
			t.Fatal(err)
		}
		for _, x := range asked {
			if answer, body := w.request(t, x[0], x[1], x[2], x[3], credential); answer.StatusCode/100 != 2 {
				t.Errorf("%s with room again: %s %s", x[1], answer.Status, body)
			}
		}
	})
}
