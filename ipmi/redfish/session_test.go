package redfish

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
	"provision-plugins/sim/redfish"
)

// mustOpen opens a session that is given back with the test.
func mustOpen(tb testing.TB, p *Pool, t *Target) *Session {
	tb.Helper()
	s, err := p.open(tb.Context(), t)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// until waits for a condition.
func until(tb testing.TB, what string, is func() bool) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for !is() {
		select {
		case <-tick.C:
		case <-limit:
			tb.Fatalf("did not come: %s", what)
		}
	}
}

// TestOneSession: many callers at once have one session, and one login.
func TestOneSession(t *testing.T) {
	f, b := startBMC(t, redfish.Options{On: true})
	p := newPool(f)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			s, err := p.Open(t.Context(), targetOf(b))
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := s.(driver.PowerReader).PowerState(t.Context()); err != nil {
				t.Error(err)
			}
			_ = s.Close(t.Context())
		})
	}
	all.Wait()
	if n := b.Executed("session open"); n != 1 {
		t.Errorf("%d sessions were opened, want 1", n)
	}
	stop(t, p)
	if b.Sessions() != 0 || b.Executed("session close") != 1 {
		t.Errorf("%d sessions are left", b.Sessions())
	}
	if _, err := p.Open(t.Context(), targetOf(b)); model.KindOf(err) != model.Unreachable || !errors.Is(err, errStopped) {
		t.Errorf("a pool that has stopped opens: %v", err)
	}
}

// TestIdle: a session that nobody uses is deleted on the BMC, and another one is
// opened when somebody comes.
func TestIdle(t *testing.T) {
	f, b := startBMC(t, redfish.Options{On: true})
	p := newPool(f)
	p.opts.Idle = 10 * time.Millisecond
	defer stop(t, p)
	for n := 1; n <= 2; n++ {
		s, err := p.Open(t.Context(), targetOf(b))
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Close(t.Context())
		until(t, "the session is deleted", func() bool { return b.Executed("session close") == n })
	}
	if p.Len() != 0 {
		t.Error("the BMC is still remembered")
	}
}

// TestTwoRefusals: a login that the BMC refused twice is not tried a third time, and
// another password is.
func TestTwoRefusals(t *testing.T) {
	f, b := startBMC(t, redfish.Options{})
	p := poolOf(t, f)
	wrong := targetOf(b)
	wrong.Password = "not-the-Bittern"
	for range 5 {
		if _, err := p.Open(t.Context(), wrong); model.KindOf(err) != model.DeviceAuth {
			t.Errorf("a wrong password: %v", err)
		}
	}
	if n := b.Executed("session refused"); n != 2 {
		t.Errorf("the BMC refused %d logins, want 2", n)
	}
	mustOpen(t, p, targetOf(b))
}

// TestLeaver: who leaves during a login does not leave a session behind.
func TestLeaver(t *testing.T) {
	f, b := startBMC(t, redfish.Options{})
	p := newPool(f)
	b.SetFaults(redfish.Faults{Requests: []redfish.Fault{{On: "session open", Delay: 300 * time.Millisecond}}})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := p.Open(ctx, targetOf(b)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who left is told %v", err)
	}
	stop(t, p)
	until(t, "no session is left", func() bool { return b.Sessions() == 0 })
}

// TestResources: each action tells the part it is for, in each dialect, and a failure
// is told as such.
func TestResources(t *testing.T) {
	for _, dialect := range redfish.Dialects() {
		f, b := startBMC(t, redfish.Options{Dialect: dialect, On: true})
		s := mustOpen(t, poolOf(t, f), targetOf(b))
		info, err := s.Info(t.Context())
		if err != nil || info == nil {
			t.Errorf("%s: getInfo: %v", dialect, err)
		}
		told := 0
		for _, command := range Resources() {
			got, err := s.Resource(t.Context(), command)
			if model.KindOf(err) == model.Unsupported {
				continue
			}
			raw, encErr := json.Marshal(got)
			if err != nil || encErr != nil || len(raw) < 3 || raw[0] == '[' != resources[command].many {
				t.Errorf("%s: %s: %.60s, %v, %v", dialect, command, raw, err, encErr)
				continue
			}
			told++
		}
		if told < 5 {
			t.Errorf("%s: only %d parts are told", dialect, told)
		}
		b.SetFaults(redfish.Faults{Requests: []redfish.Fault{{On: "get bios", Status: 500, Count: redfish.Always}}})
		if _, err := s.Resource(t.Context(), "getBios"); model.KindOf(err) != model.Unreachable {
			t.Errorf("%s: a BIOS that cannot be read: %v", dialect, err)
		}
	}
}

// TestHealth: the reference's keys are there, and no part is better than it is told.
func TestHealth(t *testing.T) {
	for _, dialect := range redfish.Dialects() {
		f, b := startBMC(t, redfish.Options{Dialect: dialect, On: true})
		s := mustOpen(t, poolOf(t, f), targetOf(b))
		got, err := s.Health(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var keys map[string]any
		if err := model.Remarshal(got, &keys); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"Status", "ProcessorStatus", "MemoryStatus", "EthernetStatus", "StorageStatus", "SimpleStorageStatus"} {
			if _, ok := keys[key]; !ok {
				t.Errorf("%s: no %s", dialect, key)
			}
		}
		if keys["Status"] != "OK" {
			t.Errorf("%s: %v", dialect, keys)
		}
	}
}

// TestMedia: an image goes in and out in each dialect, and is seen there.
func TestMedia(t *testing.T) {
	const image = "http://192.0.2.1/boot.iso"
	for _, dialect := range redfish.Dialects() {
		f, b := startBMC(t, redfish.Options{Dialect: dialect, On: true, TaskTime: -1})
		s := mustOpen(t, poolOf(t, f), targetOf(b))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for n := range 2 {
			m, err := s.Mount(ctx, image, false)
			if err != nil || m.Image != image || *m.Changed != (n == 0) {
				t.Fatalf("%s: mount %d: %+v, %v", dialect, n, m, err)
			}
		}
		if len(b.Media()) != 1 || b.Executed("insert media") != 1 {
			t.Errorf("%s: in the media are %v", dialect, b.Media())
		}
		if _, err := s.Mount(ctx, image+"2", false); model.KindOf(err) != model.Conflict {
			t.Errorf("%s: a second image: %v", dialect, err)
		}
		if m, err := s.Media(ctx); err != nil || m.Image != image || !m.Inserted {
			t.Errorf("%s: status: %+v, %v", dialect, m, err)
		}
		if m, err := s.Mount(ctx, image, true); err != nil || !m.Boot {
			t.Errorf("%s: boot from it: %+v, %v", dialect, m, err)
		}
		if err := s.SetPower(ctx, false); err != nil {
			t.Fatal(err)
		}
		if err := s.SetPower(ctx, true); err != nil {
			t.Fatal(err)
		}
		if got := b.System(0).Booted; got == "None" || got == "" {
			t.Errorf("%s: booted from %q", dialect, got)
		}
		for n := range 2 {
			m, err := s.Unmount(ctx)
			if err != nil || m.Inserted || *m.Changed != (n == 0) {
				t.Errorf("%s: unmount %d: %+v, %v", dialect, n, m, err)
			}
		}
		if len(b.Media()) != 0 {
			t.Errorf("%s: left in: %v", dialect, b.Media())
		}
	}
	for _, bad := range []string{"", "boot.iso", "file:///etc/passwd", "http://", "javascript:x"} {
		if err := checkImage(bad); model.KindOf(err) != model.Invalid {
			t.Errorf("image %q: %v", bad, err)
		}
	}
}

// TestBootMode: the mode is set where the firmware is known, and left as it is where
// it is not, in each dialect.
func TestBootMode(t *testing.T) {
	for _, dialect := range redfish.Dialects() {
		f, b := startBMC(t, redfish.Options{Dialect: dialect, On: true})
		p := poolOf(t, f)
		was := b.System(0).BootMode
		s := mustOpen(t, p, targetOf(b))
		if err := s.SetBoot(t.Context(), model.BootPXE, false); err != nil {
			t.Fatalf("%s: %v", dialect, err)
		}
		uefi, told := s.BootUEFI()
		if now := b.System(0).BootMode; now != was || told || uefi != (was == modeUEFI) {
			t.Errorf("%s: the mode was %s and is %s", dialect, was, now)
		}
		target := targetOf(b)
		target.UEFI, target.Told = true, true
		s = mustOpen(t, p, target)
		if err := s.SetBoot(t.Context(), model.BootDisk, true); err != nil {
			t.Fatalf("%s: %v", dialect, err)
		}
		if got, err := s.Boot(t.Context()); err != nil || !got.UEFI || !got.Persistent || got.Device != model.BootDisk || b.System(0).BootMode != modeUEFI {
			t.Errorf("%s: %+v, %v", dialect, got, err)
		}
	}
}
