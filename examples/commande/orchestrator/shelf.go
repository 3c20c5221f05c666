package orchestrator

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/skaldhq/skald/examples/problem"
	"github.com/skaldhq/skald/examples/switches"
)

// article is a product as the shop shows it: what ProduitService says of it and how much InventaireService has.
type article struct {
	SKU         string `json:"sku"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	PriceCents  int64  `json:"price_cents"`
	Stock       int    `json:"stock"`
}

// stocked is what InventaireService says of one product.
type stocked struct {
	SKU   string `json:"sku"`
	Stock int    `json:"stock"`
}

// shelf answers GET /api/produits.
func (o *Orchestrator) shelf(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	var left []stocked
	var stockErr error
	var asking sync.WaitGroup
	asking.Go(func() { left, stockErr = get[[]stocked](ctx, o.services, "inventaire", "/stock") })
	products, err := get[[]article](ctx, o.services, "produit", "/produits")
	if err != nil {
		cancel()
	}
	asking.Wait()
	if err == nil {
		err = stockErr
	}
	if err != nil {
		o.log.Warn("the products cannot be shown", "error", err)
		busy(w, "ProduitService or InventaireService does not answer: "+err.Error()+".", 2*time.Second)
		return
	}
	if products == nil {
		products = []article{}
	}
	for i := range products {
		for _, s := range left {
			if s.SKU == products[i].SKU {
				products[i].Stock = s.Stock
			}
		}
	}
	problem.JSON(w, http.StatusOK, "application/json", products)
}

// showSwitches answers GET /api/switches with those of all services that answer. The others are named in a header: a service that is really
// down must not hide the rest.
func (o *Orchestrator) showSwitches(w http.ResponseWriter, r *http.Request) {
	lists := make([][]switches.Setting, len(o.services.to.all()))
	failed := o.services.each(r.Context(), func(ctx context.Context, i int, s service) (err error) {
		lists[i], err = get[[]switches.Setting](ctx, o.services, s.name, "/switches")
		return err
	})
	away := o.away(failed)
	if len(away) == len(lists) {
		busy(w, "No service answers.", 2*time.Second)
		return
	}
	if len(away) > 0 {
		w.Header().Set("Skald-Unreachable", strings.Join(away, ", "))
	}
	all := slices.Concat(lists...)
	if all == nil {
		all = []switches.Setting{}
	}
	problem.JSON(w, http.StatusOK, "application/json", all)
}

// resetSwitches answers DELETE /api/switches.
func (o *Orchestrator) resetSwitches(w http.ResponseWriter, r *http.Request) {
	failed := o.services.each(r.Context(), func(ctx context.Context, _ int, s service) error {
		_, err := o.services.ask(ctx, s.name, http.MethodDelete, "/switches", nil)
		return err
	})
	if away := o.away(failed); len(away) > 0 {
		busy(w, "Not reset, because it does not answer: "+strings.Join(away, ", ")+". The other services are reset. A service that is started again begins with everything off.", 2*time.Second)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// away names the services that did not answer.
func (o *Orchestrator) away(failed []error) []string {
	var names []string
	for i, s := range o.services.to.all() {
		if failed[i] != nil {
			names = append(names, s.name)
		}
	}
	return names
}

// setSwitch answers PUT /api/switches/{operation}: the service that has the operation sets it and says what is wrong.
func (o *Orchestrator) setSwitch(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r, exampleSwitch)
	if !ok {
		return
	}
	operation := r.PathValue("operation")
	name := owner(operation)
	if o.services.to.Of(name) == "" {
		problem.New(http.StatusNotFound, "There is no such operation; GET /api/switches lists them.").Write(w)
		return
	}
	_, err := o.services.ask(r.Context(), name, http.MethodPut, "/switches/"+url.PathEscape(operation), body)
	o.answerService(w, name, err)
}

// answerService passes a service's problem on, or answers 204.
func (o *Orchestrator) answerService(w http.ResponseWriter, name string, err error) {
	said, isAnswer := asServiceError(err)
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case isAnswer && said.status < 500 && said.said.Title != "":
		p := said.said
		p.Status = said.status
		p.Write(w)
	default:
		o.log.Warn("a service does not answer", "service", name, "error", err)
		busy(w, "The service "+name+" does not answer.", 2*time.Second)
	}
}
