//go:build !linux

package natsbroker_test

import "errors"

func fillTheDisk(string) error {
	return errors.New("only on Linux can a test mount a disk of its own")
}
