// Package load does something over and over and looks at what it costs this process. It knows nothing of what it runs.
//
// What it reads of processor, disk and memory it takes from Linux; elsewhere those figures are 0.
package load

import (
	"bytes"
	"context"
	"errors"
	"os"
	"runtime/metrics"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Run does something on so many lanes, each one after the other, for a time, and returns how long each took. A lane ends with its first error; the errors are
// joined. What is under way when the time is over is waited for.
func Run(ctx context.Context, lanes int, d time.Duration, one func(ctx context.Context) error) ([]time.Duration, error) {
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	var running sync.WaitGroup
	end := time.Now().Add(d)
	for range lanes {
		running.Go(func() {
			for time.Now().Before(end) && ctx.Err() == nil {
				began := time.Now()
				err := one(ctx)
				mu.Lock()
				if took = append(took, time.Since(began)); err != nil {
					failed = errors.Join(failed, err)
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	running.Wait()
	return took, failed
}

// CPU is the processor time that this process has used.
func CPU() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// Written is how many bytes this process has caused to be written to disks: whole pages of the operating system, each time that one becomes dirty. Files in memory
// do not count.
func Written() int64 { return field("/proc/self/io", "write_bytes:") }

// RSS is how many bytes of memory this process holds now.
func RSS() int64 { return field("/proc/self/status", "VmRSS:") << 10 }

// Allocated is how many bytes of the heap this process has allocated so far, and in how many pieces, those that were freed again among them.
func Allocated() (bytes, objects uint64) {
	all := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/allocs:objects"}}
	metrics.Read(all)
	return all[0].Value.Uint64(), all[1].Value.Uint64()
}

// field reads the number after a name in a file of the proc file system; 0 if it is not there.
func field(path, name string) int64 {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(data) {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			words := bytes.Fields(rest)
			if len(words) == 0 {
				return 0
			}
			n, err := strconv.ParseInt(string(words[0]), 10, 64)
			if err != nil {
				return 0
			}
			return n
		}
	}
	return 0
}
