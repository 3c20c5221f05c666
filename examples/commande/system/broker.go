package system

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
)

// ownBroker is a broker inside the process, without a port, for a system that was given none.
type ownBroker struct {
	server *natsbroker.Server
	broker.Broker
}

func startBroker(ctx context.Context, data string, log *slog.Logger) (*ownBroker, error) {
	server, err := natsbroker.Start(natsbroker.ServerConfig{Dir: filepath.Join(data, brokerFolder), Log: log})
	if err != nil {
		return nil, err
	}
	b, err := natsbroker.Open(ctx, natsbroker.Config{Server: server, Log: log})
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	return &ownBroker{server, b}, nil
}

const brokerFolder = "broker"

func (b *ownBroker) close() error { return errors.Join(b.Close(), b.server.Close()) }
