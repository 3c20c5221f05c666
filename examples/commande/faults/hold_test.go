//go:build linux

package faults_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Where a run is to be killed at its n-th sync, and at no other instant, strace cannot help: it counts the calls of each thread by themselves, and a Go program syncs on whichever thread is at hand. The kernel can:
// a process may have it ask another one before each call of some kind (seccomp_unotify(2)), and until that has answered, the call does not begin.

// heldBy names, in the environment of the program, the descriptor of a socket to whoever is to be asked.
const heldBy = "FAULTS_HELD_BY"

// beHeld has the kernel ask before each sync of this process, if the environment says whom, and begins the program anew, so that this is so on all its threads.
func beHeld() error {
	var socket int
	if _, err := fmt.Sscan(os.Getenv(heldBy), &socket); err != nil {
		return nil //nolint:nilerr // nobody is to be asked
	}
	runtime.LockOSThread() // the thread that begins the program anew is the one that has the filter
	asking, err := askBeforeSyncs()
	if err != nil {
		return fmt.Errorf("having the kernel ask before syncs: %w", err)
	}
	if err := unix.Sendmsg(socket, []byte{0}, unix.UnixRights(asking), nil, 0); err != nil {
		return fmt.Errorf("handing over who is to be asked: %w", err)
	}
	unix.CloseOnExec(socket)
	unix.CloseOnExec(asking)
	if err := os.Unsetenv(heldBy); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", os.Args, os.Environ())
}

// askBeforeSyncs installs the filter and returns the descriptor at which the kernel asks.
func askBeforeSyncs() (int, error) {
	const call, ask, pass = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.SECCOMP_RET_USER_NOTIF, unix.SECCOMP_RET_ALLOW
	is := func(number uint32, then uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: then, K: number}
	}
	filter := []unix.SockFilter{
		{Code: call, K: 0}, // the number of the call
		is(unix.SYS_FSYNC, 2),
		is(unix.SYS_FDATASYNC, 1),
		{Code: unix.BPF_RET | unix.BPF_K, K: pass},
		{Code: unix.BPF_RET | unix.BPF_K, K: ask},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil { // without it only root may
		return 0, err
	}
	fd, _, failed := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, uintptr(unsafe.Pointer(&program)))
	if failed != 0 {
		return 0, failed
	}
	return int(fd), nil
}

// question and reply are what the kernel and who is asked say to each other (struct seccomp_notif and seccomp_notif_resp).
type (
	question struct {
		ID         uint64
		PID, Flags uint32
		Call       int32
		Arch       uint32
		At         uint64
		Args       [6]uint64
	}
	reply struct {
		ID           uint64
		Value        int64
		Error, Flags int32
	}
)

// held is a run of the program in which each sync is let through, until the one at which it is killed.
type held struct {
	*process
	syncs int // that the program was about to begin; the last one did not take place if the program was killed. To be read after end
	wrong error
	over  sync.WaitGroup
}

// hold launches the program and has it killed at its n-th sync; 0: never. It skips the test where the kernel has no such thing.
func hold(t *testing.T, data string, n int) *held {
	t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	mine, theirs := ends[0], os.NewFile(uintptr(ends[1]), "socket")
	c := command(t, data)
	c.Env = append(c.Env, heldBy+"=3")
	c.ExtraFiles = []*os.File{theirs}
	h := &held{process: run(t, c)}
	_ = theirs.Close() // the process has it
	asked, err := takeOver(mine)
	_ = unix.Close(mine)
	if err != nil {
		h.kill()
		t.Skipf("the kernel asks nobody before a sync (%v): Linux 5.19 or newer does\n%s", err, h.problems.String())
	}
	h.over.Go(func() {
		h.wrong = h.answer(asked, n)
		_ = unix.Close(asked)
	})
	t.Cleanup(func() { h.end(t) })
	return h
}

// takeOver receives the descriptor that the program hands over.
func takeOver(socket int) (int, error) {
	room := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, make([]byte, 1), room, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return 0, err
	}
	all, err := unix.ParseSocketControlMessage(room[:n])
	switch {
	case err != nil:
		return 0, err
	case len(all) != 1:
		return 0, errors.New("the program ended before")
	}
	fds, err := unix.ParseUnixRights(&all[0])
	if err != nil {
		return 0, err
	}
	return fds[0], nil
}

// answer lets syncs through, and kills the program at the n-th. It returns when nothing is left of the program.
func (h *held) answer(asked, n int) error {
	ready := []unix.PollFd{{Fd: int32(asked), Events: unix.POLLIN}}
	for {
		switch _, err := unix.Poll(ready, -1); {
		case errors.Is(err, unix.EINTR): // what it says of the events is what it said before
			continue
		case err != nil:
			return err
		case ready[0].Revents&unix.POLLHUP != 0:
			return nil
		}
		var q question
		switch err := ioctl(asked, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&q)); {
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EINTR): // who asked was killed meanwhile
			continue
		case err != nil:
			return err
		}
		if h.syncs++; h.syncs == n {
			h.signal(syscall.SIGKILL) // this sync is still held
			ready[0].Events = 0       // no other thread's is let through either
			continue
		}
		through := reply{ID: q.ID, Flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if err := ioctl(asked, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&through)); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
}

func ioctl(fd int, what uintptr, with unsafe.Pointer) error {
	if _, _, err := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), what, uintptr(with)); err != 0 {
		return err
	}
	return nil
}

// end waits for the program's end, which it brings about if nobody has, and checks that the program was killed, or had been told to stop and did so well.
func (h *held) end(t *testing.T) {
	t.Helper()
	h.kill()
	h.over.Wait()
	if code := h.cmd.ProcessState.ExitCode(); h.wrong != nil || code > 0 {
		t.Fatalf("the program ended with code %d, after %d syncs (%v):\n%s", code, h.syncs, h.wrong, h.problems.String())
	}
}
