//go:build linux

package faults_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// ownDisk names, in the environment of a process that may mount disks, the folder to mount one at.
const ownDisk = "FAULTS_DISK"

// TestF20_FullDiskIsSurvived fills the disk while orders are being undone and customers order, again and again, so that nobody has any room at all.
func TestF20_FullDiskIsSurvived(t *testing.T) { onADisk(t, fullDisk) }

// TestF20_WhatIsUnderWayEndsOnAFullDisk fills the disk once, and leaves it full: orders under way come to their ends meanwhile, also those that have to be undone, and others are refused for now.
func TestF20_WhatIsUnderWayEndsOnAFullDisk(t *testing.T) { onADisk(t, endsOnAFullDisk) }

// onADisk runs a test in a process of its own that may mount a disk, with a small one.
func onADisk(t *testing.T, test func(t *testing.T, disk string)) {
	t.Helper()
	if dir := os.Getenv(ownDisk); dir != "" {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=96m"); err != nil {
			t.Fatal(err)
		}
		test(t, dir)
		return
	}
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v", fmt.Sprintf("-seed=%d", chosen(t)))
	cmd.Env = append(os.Environ(), ownDisk+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
		t.Skip("this system does not let a process mount a disk of its own: ", err)
	}
	t.Logf("in a process with a disk of its own:\n%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

// endsOnAFullDisk tries it with everything on that disk, and with the services' databases elsewhere.
func endsOnAFullDisk(t *testing.T, disk string) {
	prepared := prepared(t)
	for name, elsewhere := range map[string]string{"everything": "", "the journals, and the services are elsewhere": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			data := filepath.Join(disk, "data")
			if err := os.CopyFS(data, os.DirFS(prepared)); err != nil {
				t.Fatal(err)
			}
			if elsewhere != "" {
				moveServices(t, data, elsewhere)
			}
			stayFull(t, data, filepath.Join(disk, "filler"))
			if err := os.RemoveAll(data); err != nil {
				t.Error(err)
			}
		})
	}
}

// moveServices moves the databases of all services to another folder, and leaves links.
func moveServices(t *testing.T, data, to string) {
	t.Helper()
	for _, service := range []string{"commande", "produit", "inventaire", "paiement", "transaction"} {
		from, name := filepath.Join(data, service+".db"), filepath.Join(to, service+".db")
		b, err := os.ReadFile(from)
		if err == nil {
			err = errors.Join(os.WriteFile(name, b, 0o600), os.Remove(from), os.Symlink(name, from))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func stayFull(t *testing.T, data, filler string) {
	t.Helper()
	p, s := start(t, data), newShop(t)
	b := s.books(t, p)
	s.opens(p)
	ballast := filepath.Join(data, "orchestrator.db-ballast")
	there := func() bool { _, err := os.Stat(ballast); return err == nil }
	eventually(t, "there is ballast", there)
	turning := b.turnBack(t, 8)
	load := customersOf(t, s, chosen(t), 4)
	eventually(t, "the load is under way", func() bool { return load.taken.Load() > 10 })
	filled := fill(t, filler)
	eventually(t, "customers are asked for patience", func() bool { return s.busy.Load() > 50 })
	began := time.Now()
	b.settle(t)
	for _, id := range turning {
		if o := b.view(t, id); o.Outcome != "compensated" {
			t.Errorf("%+v should have been undone", o)
		}
	}
	took := time.Since(began)
	before, _ := b.orders(t)
	refused := s.busy.Load()
	eventually(t, "customers are still asked for patience", func() bool { return s.busy.Load() > refused+20 })
	after, _ := b.orders(t)
	if there() || len(after) > len(before) {
		t.Errorf("on a full disk %d orders were taken; ballast is there: %t", len(after)-len(before), there())
	}
	t.Logf("filled with %d MiB; %d orders that turn back and %d others ended within %s on the full disk", filled>>20, len(turning), len(after)-len(turning), took.Round(time.Millisecond))

	taken := load.taken.Load()
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	room := time.Now()
	eventually(t, "orders are taken again", func() bool { return load.taken.Load() > taken })
	if again := time.Since(room); again > 30*time.Second {
		t.Errorf("orders were taken again only %s after there was room", again)
	}
	if !there() {
		t.Error("orders are taken and there is no ballast")
	}
	acknowledged := load.leave()
	b.settle(t)
	b.audit(t, acknowledged)
	p.stop(t)
	sound(t, data)
}

func fullDisk(t *testing.T, disk string) {
	data := filepath.Join(disk, "data")
	if err := os.CopyFS(data, os.DirFS(prepared(t))); err != nil {
		t.Fatal(err)
	}
	p, s := start(t, data), newShop(t)
	b := s.books(t, p)
	s.opens(p)
	turning := b.turnBack(t, 8)
	ballast := filepath.Join(disk, "ballast")
	filled := fill(t, ballast)
	chance := chosen(t)
	r := rand.New(rand.NewPCG(chance, 1000))
	load := customersOf(t, s, chance, 6)
	eventually(t, "customers are asked for patience", func() bool {
		filled += fill(t, ballast) // what was freed meanwhile
		return s.busy.Load() > 50
	})
	for range 12 { // a page here and there: each database gets to see a write of which only a part fits
		filled -= giveBack(t, ballast, 1+r.Int64N(12))
		p.spare(t, 250*time.Millisecond)
		filled += fill(t, ballast)
	}
	p.spare(t, time.Second)
	open := 0
	for _, id := range turning {
		if o := b.view(t, id); !o.ended() { // what there is can be read
			open++
		}
	}
	t.Logf("filled with %d MiB, %d orders were refused; %d of %d orders that turn back wait for room", filled>>20, s.busy.Load(), open, len(turning))

	taken := load.taken.Load()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	room := time.Now()
	eventually(t, "orders are taken again", func() bool { return load.taken.Load() > taken })
	again := time.Since(room)
	eventually(t, "the load is under way", func() bool { return load.taken.Load() > taken+50 })

	fill(t, ballast)
	p.spare(t, time.Duration(r.Int64N(int64(time.Second))))
	s.closes()
	p.kill() // with a full disk
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	p = start(t, data)
	s.opens(p)
	b = s.books(t, p)
	acknowledged := load.leave()
	settled := b.settle(t)
	t.Logf("orders were taken again %s after there was room, and every order had its outcome %s after a start that followed on a kill; %d acknowledged in all", again.Round(time.Millisecond), settled.Round(time.Millisecond), len(acknowledged))
	if again > 30*time.Second {
		t.Errorf("orders were taken again only %s after there was room", again)
	}
	for _, id := range turning {
		if o := b.view(t, id); o.Outcome != "compensated" {
			t.Errorf("%+v should have turned back", o)
		}
	}
	b.audit(t, acknowledged)
	p.stop(t)
	sound(t, data)
}

// turnBack places orders that are refused at the pivot, when the articles are set aside and the payment is taken, so that all of it has to be undone. It returns when they
// have turned back, and their payments are not refunded yet.
func (b *books) turnBack(t *testing.T, many int) (ids []string) {
	t.Helper()
	for operation, setting := range map[string]string{
		"transaction.issue": fmt.Sprintf(`{"mode":"refuse","count":%d}`, many),
		"paiement.refund":   fmt.Sprintf(`{"mode":"slow","count":%d,"delay_ms":1500}`, many),
	} {
		a, err := b.ask(t.Context(), http.MethodPut, b.url+"/api/switches/"+operation, []byte(setting))
		if err != nil || a.status != http.StatusNoContent {
			t.Fatalf("%s: %v, %d %s", operation, err, a.status, a.body)
		}
	}
	for n := range many {
		id, err := b.order(t.Context(), purchaseOf(accepted), fmt.Sprintf("turning %d", n))
		if err != nil || id == "" {
			t.Fatalf("order %d: %v", n, err)
		}
		ids = append(ids, id)
	}
	for _, id := range ids {
		eventually(t, "order "+id+" turns back", func() bool { return b.view(t, id).Outcome == "compensating" })
	}
	return ids
}

// fill writes a file until there is no room on its disk, and returns how many bytes that were.
func fill(t *testing.T, path string) int64 {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(f, zeros{})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("filling the disk: %v", err)
	}
	_ = f.Close() // the disk is full, as it should be
	return n
}

// giveBack frees pages that a file takes, and returns how many bytes that were.
func giveBack(t *testing.T, path string, pages int64) int64 {
	t.Helper()
	const page = 4096
	is, err := os.Stat(path)
	if err == nil {
		err = os.Truncate(path, is.Size()-pages*page)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pages * page
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
