package freeport_test

import (
	"net"
	"testing"

	"github.com/skaldhq/skald/internal/freeport"
)

func TestAnAddressCanBeListenedOnAgainAndAgain(t *testing.T) {
	address, err := freeport.Address(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
