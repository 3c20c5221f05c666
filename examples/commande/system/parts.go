package system

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/skaldhq/skald/examples/commande/orchestrator"
	"github.com/skaldhq/skald/examples/commande/service/commande"
	"github.com/skaldhq/skald/examples/commande/service/inventaire"
	"github.com/skaldhq/skald/examples/commande/service/paiement"
	"github.com/skaldhq/skald/examples/commande/service/produit"
	"github.com/skaldhq/skald/examples/commande/service/transaction"
	"github.com/skaldhq/skald/examples/local"
	"github.com/skaldhq/skald/examples/part"
)

// Services names the five services, in the order in which the saga calls them. The caller owns the slice.
func Services() []string {
	return []string{commande.Name, produit.Name, inventaire.Name, paiement.Name, transaction.Name}
}

// launch starts one service on an address.
func (s *System) launch(ctx context.Context, name, listen string) (*part.Part, error) {
	c := part.Config{Name: name, Listen: listen, Data: s.config.Data, Events: "http://" + s.listener.Addr().String() + orchestrator.EventsPath, Broker: s.config.Broker, Logger: s.log}
	switch name {
	case commande.Name:
		return commande.Start(ctx, commande.Config{Config: c})
	case produit.Name:
		return produit.Start(ctx, produit.Config{Config: c})
	case inventaire.Name:
		return inventaire.Start(ctx, inventaire.Config{Config: c})
	case paiement.Name:
		return paiement.Start(ctx, paiement.Config{Config: c, Gateway: s.gateway.url(), GatewayTimeout: s.config.GatewayTimeout})
	case transaction.Name:
		smtp := s.config.SMTP
		if smtp == "" {
			smtp = s.smtp.Addr().String()
		}
		return transaction.Start(ctx, transaction.Config{Config: c, SMTP: smtp, From: s.config.From})
	}
	return nil, fmt.Errorf("there is no service %q; there are %v", name, Services())
}

// start1 starts a service, on a free port if the one it should have is taken.
func (s *System) start1(ctx context.Context, name, listen string) error {
	p, err := s.launch(ctx, name, listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		p, err = s.launch(ctx, name, local.AnyPort)
	}
	if err != nil {
		return err
	}
	s.keep(p)
	return nil
}

func (s *System) keep(p *part.Part) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts[p.Name()] = p
	s.watch(p.Failed())
}

// StopService stops one service as if its process had ended; the others go on. StartService starts it again.
func (s *System) StopService(ctx context.Context, name string) error {
	p := s.part(name)
	if p == nil {
		return fmt.Errorf("there is no service %q; there are %v", name, Services())
	}
	return p.Stop(ctx)
}

// StartService starts a stopped service again, on the address that it had.
func (s *System) StartService(ctx context.Context, name string) error {
	old := s.part(name)
	if old == nil {
		return fmt.Errorf("there is no service %q; there are %v", name, Services())
	}
	p, err := s.launch(ctx, name, old.Addr())
	if err != nil {
		return err
	}
	s.keep(p)
	return nil
}

func (s *System) part(name string) *part.Part {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parts[name]
}

// Service is where a service is reached, without a slash at the end.
func (s *System) Service(name string) string {
	if p := s.part(name); p != nil {
		return p.URL()
	}
	return ""
}

func (s *System) services() orchestrator.Services {
	return orchestrator.Services{
		Commande: s.Service(commande.Name), Produit: s.Service(produit.Name), Inventaire: s.Service(inventaire.Name),
		Paiement: s.Service(paiement.Name), Transaction: s.Service(transaction.Name),
	}
}

// stopParts stops all services, each in its own time, and waits for them. That requests were cut off is no failure: they are made again.
func (s *System) stopParts(ctx context.Context) {
	done := make(chan struct{})
	running := 0
	for _, name := range Services() {
		if p := s.part(name); p != nil {
			running++
			go func() {
				if err := p.Stop(ctx); err != nil {
					s.log.Info("a service was stopped hard", "service", name, "error", err)
				}
				done <- struct{}{}
			}()
		}
	}
	for range running {
		<-done
	}
}
