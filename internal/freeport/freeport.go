// Package freeport finds loopback addresses for the tests of programs that are started several times at the same one. It promises nothing for longer than the moment: tests that run side by side choose by chance among 20,000 ports.
package freeport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Address returns a loopback address that nobody listens on. Its port is none that operating systems give to whoever asks for any port or calls somebody: one of those could be taken while the program that has it is down.
func Address(ctx context.Context) (string, error) {
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)) //nolint:gosec // chance only spreads tests
		if l, err := new(net.ListenConfig).Listen(ctx, "tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", errors.New("no port is free between 10000 and 30000")
}
