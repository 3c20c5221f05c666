package node

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Oldest is the oldest major version of node that the service runs on.
const Oldest = 18

// versionTime bounds the asking for a version.
const versionTime = 10 * time.Second

// Version asks the program node which version it is, such as "v20.20.2". program is its path; empty: the one in the PATH. The error says that it is missing, does not answer or is too old.
func Version(ctx context.Context, program string) (string, error) {
	path, err := exec.LookPath(cmp.Or(program, "node"))
	if err != nil {
		return "", fmt.Errorf("the program node is not there: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, versionTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s does not say its version: %w", path, err)
	}
	version := strings.TrimSpace(string(out))
	major, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < Oldest {
		return "", fmt.Errorf("%s is version %q: version %d or newer is needed", path, version, Oldest)
	}
	return version, nil
}
