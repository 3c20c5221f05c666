package sidecar_test

import "time"

// patience bounds what the tests wait for; nothing is expected to take as long.
const patience = 30 * time.Second
