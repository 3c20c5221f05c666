package system

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/skaldhq/skald/examples/local"
)

// Distances from the shop's port, after those of the five services.
const (
	gatewayPort = 6
	smtpPort    = 7
)

// ports hands out the ports after the shop's.
type ports struct {
	base int // the shop's; 0: any will do
	used int
}

// portsAfter lets the parts take any ports if the shop was to take any.
func portsAfter(asked string, l net.Listener) ports {
	a, isTCP := l.Addr().(*net.TCPAddr)
	if _, port, err := net.SplitHostPort(asked); err != nil || port == "0" || !isTCP {
		return ports{}
	}
	return ports{base: a.Port}
}

func (p *ports) next() string {
	p.used++
	return p.at(p.used)
}

func (p *ports) at(distance int) string {
	if port := p.base + distance; p.base != 0 && port <= 65535 {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	return local.AnyPort
}

// listen opens the port at a distance, or any other if it is taken.
func (p *ports) listen(ctx context.Context, distance int) (net.Listener, error) {
	l, err := local.Listen(ctx, p.at(distance))
	if errors.Is(err, syscall.EADDRINUSE) {
		return local.Listen(ctx, local.AnyPort)
	}
	return l, err
}

// gatewayServer serves the card company's stand-in.
type gatewayServer struct {
	server   *http.Server
	listener net.Listener
	failed   chan error
	serving  sync.WaitGroup
}

func serveGateway(l net.Listener, h http.Handler, log *slog.Logger) *gatewayServer {
	g := &gatewayServer{listener: l, failed: make(chan error, 1), server: &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
	g.serving.Go(func() {
		if err := g.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			g.failed <- err
		}
	})
	return g
}

func (g *gatewayServer) url() string { return "http://" + g.listener.Addr().String() }

// close cuts what is under way off: an authorisation that hangs would hang on.
func (g *gatewayServer) close() error {
	err := g.server.Close()
	g.serving.Wait()
	return err
}
