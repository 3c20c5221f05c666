package orchestration

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// The names under which this program starts itself.
const (
	roleParticipants = "orchestration-participants"
	rolePart         = "orchestration-part"
	roleLoad         = "orchestration-load"
)

// Role does the work of a process that Measure has started, and says whether this is one: args are the program's, without its name. A program that calls Measure calls
// this first.
func Role(ctx context.Context, args []string, in io.Reader, out io.Writer) (mine bool, err error) {
	if len(args) != 1 {
		return false, nil
	}
	switch args[0] {
	case roleParticipants:
		return true, serveParticipants(ctx, in, out)
	case rolePart:
		return true, runPart(ctx, in, out)
	case roleLoad:
		return true, runLoad(ctx, in, out)
	}
	return false, nil
}

// helper is a process of this program that works until its input ends.
type helper struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startHelper(ctx context.Context, role string) (*helper, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	h := &helper{cmd: exec.CommandContext(ctx, self, role)}
	h.cmd.Stderr = os.Stderr
	if h.in, err = h.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	h.out = bufio.NewReader(out)
	return h, h.cmd.Start()
}

func (h *helper) stop() error { return errors.Join(h.in.Close(), h.cmd.Wait()) }

// participants is the process of the participants.
type participants struct {
	*helper
	address string
}

func startParticipants(ctx context.Context) (*participants, error) {
	h, err := startHelper(ctx, roleParticipants)
	if err != nil {
		return nil, err
	}
	line, err := h.out.ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the participants say no address: %w", err), h.stop())
	}
	return &participants{h, strings.TrimSpace(line)}, nil
}

// run does a part in a process of its own and returns its figures.
func (p *part) run(ctx context.Context) (figures, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	say, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, rolePart)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(say), os.Stderr
	told, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.name(), err)
	}
	var f figures
	if err := json.Unmarshal(told, &f); err != nil {
		return nil, fmt.Errorf("%s: %w", p.name(), err)
	}
	return f, nil
}

// runPart is the other end of run.
func runPart(ctx context.Context, in io.Reader, out io.Writer) error {
	var p part
	if err := json.NewDecoder(in).Decode(&p); err != nil {
		return fmt.Errorf("what to measure: %w", err)
	}
	stop, err := p.profile()
	if err != nil {
		return err
	}
	f, err := p.measure(ctx)
	if err := errors.Join(err, stop()); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(f)
}
