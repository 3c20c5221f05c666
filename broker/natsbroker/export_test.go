package natsbroker

import "os"

// StartSyncing is Start with something else than fsync.
func StartSyncing(cfg ServerConfig, fsync func(*os.File) error) (*Server, error) {
	return start(cfg, fsync)
}
