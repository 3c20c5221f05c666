package orchestration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/httpapi"
)

// api is Skald behind its HTTP API.
type api struct {
	*library
	*front
}

// openAPI serves Skald on the file in the part's folder.
func openAPI(ctx context.Context, p *part) (*api, error) {
	l, err := openLibrary(ctx, p)
	if err != nil {
		return nil, err
	}
	handler, err := httpapi.New(httpapi.Config{Engine: l.engine, Sagas: []skald.Registered{l.saga}})
	if err != nil {
		return nil, errors.Join(err, l.stop(ctx))
	}
	f, err := openFront(ctx, p, handler)
	if err != nil {
		return nil, errors.Join(err, l.stop(ctx))
	}
	return &api{l, f}, nil
}

func (a *api) stop(ctx context.Context) error { return errors.Join(a.close(), a.library.stop(ctx)) }

// bareAPI makes the calls when it is asked to over HTTP, and keeps nothing: no API of what makes them can be faster.
type bareAPI struct {
	floor
	*front
}

func openBareAPI(ctx context.Context, p *part) (a *bareAPI, err error) {
	a = &bareAPI{}
	if a.floor.client, err = wire(p.Address); err != nil {
		return nil, err
	}
	a.front, err = openFront(ctx, p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var o order
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &o)
		}
		if err == nil {
			err = a.one(r.Context(), o)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, "{%s}\n", ended(o.outcome()))
	}))
	return a, err
}

func (a *bareAPI) stop(_ context.Context) error { return a.close() }
