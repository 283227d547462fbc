package endpoint

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"provision-plugins/endpoint/certificate"
	"provision-plugins/shared/model"
)

// TestBadSurroundings is what an endpoint says that cannot start: one line, and
// nothing is left behind.
func TestBadSurroundings(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := taken.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, c := range []struct {
		name  string
		spoil func(o *Options, dir string) error
		kind  model.Kind
		texts []string
	}{
		{"port taken", func(o *Options, _ string) error { o.Listen = taken.Addr().String(); return nil },
			model.Conflict, []string{taken.Addr().String(), "taken", "--listen"}},
		{"bad address", func(o *Options, _ string) error { o.Listen = "127.0.0.1:99999"; return nil },
			model.Invalid, []string{"127.0.0.1:99999", "--listen"}},
		{"data directory below a file", func(o *Options, dir string) error {
			o.DataDir = filepath.Join(dir, "file", "data")
			return os.WriteFile(filepath.Join(dir, "file"), nil, 0o600)
		}, "", []string{"file/data", "choose another"}},
		{"socket is a file", func(o *Options, dir string) error {
			o.Socket = filepath.Join(dir, "file")
			return os.WriteFile(o.Socket, nil, 0o600)
		}, model.Conflict, []string{"no socket"}},
		{"socket in no directory", func(o *Options, dir string) error { o.Socket = filepath.Join(dir, "none", "s"); return nil },
			model.Invalid, []string{"none/s", "--socket"}},
		{"runtime directory open to others", func(o *Options, dir string) error {
			o.RuntimeDir = filepath.Join(dir, "run")
			return errors.Join(os.Mkdir(o.RuntimeDir, 0o700), os.Chmod(o.RuntimeDir, 0o777))
		}, model.Invalid, []string{"run", "writable by others"}},
		{"plugin directory is a file", func(o *Options, dir string) error {
			o.PluginDir = filepath.Join(dir, "pfile")
			return os.WriteFile(o.PluginDir, nil, 0o600)
		}, model.Invalid, []string{"pfile", "--plugin-dir"}},
		{"short token", func(o *Options, _ string) error {
			return errors.Join(os.Mkdir(o.DataDir, 0o700), os.WriteFile(filepath.Join(o.DataDir, tokenFile), []byte("short\n"), 0o600))
		}, model.Invalid, []string{tokenFile, "16 characters"}},
		{"broken certificate", func(o *Options, _ string) error {
			return errors.Join(os.Mkdir(o.DataDir, 0o700), os.WriteFile(filepath.Join(o.DataDir, certificate.CertFile), []byte("x"), 0o600),
				os.WriteFile(filepath.Join(o.DataDir, certificate.KeyFile), []byte("x"), 0o600))
		}, model.Invalid, []string{certificate.CertFile, "remove"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			if err := c.spoil(&r.opts, filepath.Dir(r.dir)); err != nil {
				t.Fatal(err)
			}
			e, err := New(r.opts)
			if err == nil {
				err = e.Start(t.Context())
			}
			kind := c.kind
			if kind == "" {
				kind = model.KindOf(err)
			}
			wantError(t, err, kind, c.texts...)
			if kind == model.Internal {
				t.Errorf("an internal error: %v", err)
			}
		})
	}
}

func TestALongSocketPathIsRefused(t *testing.T) {
	t.Parallel()
	_, err := New(Options{DataDir: "/" + strings.Repeat("x", maxSocketPath)})
	wantError(t, err, model.Invalid, "longer than 107", "--socket")
}

func TestASecondEndpointOnTheData(t *testing.T) {
	t.Parallel()
	r := start(t)
	other := newRig(t)
	other.opts.DataDir = r.opts.DataDir
	other.opts.Socket = filepath.Join(filepath.Dir(other.dir), "s")
	other.build()
	wantError(t, other.e.Start(t.Context()), model.Conflict, r.opts.DataDir, itoa(os.Getpid()))
	if err := r.c.Get(t.Context(), "info", nil); err != nil {
		t.Errorf("the first one was disturbed: %v", err)
	}
}

func TestASocketThatIsServedIsLeftAlone(t *testing.T) {
	t.Parallel()
	r := start(t)
	other := newRig(t)
	other.opts.Socket = r.e.Socket()
	other.build()
	wantError(t, other.e.Start(t.Context()), model.Conflict, r.e.Socket(), "another endpoint")
	if err := r.c.Get(t.Context(), "info", nil); err != nil {
		t.Errorf("the first one was disturbed: %v", err)
	}
}

func TestRestartKeepsWhatWasStored(t *testing.T) {
	t.Parallel()
	r := newRig(t, "toy")
	r.open()
	r.ready("toy")
	uuid := r.machine("m1", nil)
	reply, err := r.act("m1", "poweron", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.c.Post(t.Context(), "params", model.Param{Name: "my/count", Schema: map[string]any{"type": "integer"}}, nil); err != nil {
		t.Fatal(err)
	}
	token := r.e.token
	r.stop()
	r.start()
	var m model.Machine
	var run model.Run
	if err := errors.Join(r.c.Get(t.Context(), "machines/"+uuid, &m), r.c.Get(t.Context(), "runs/"+reply.Run, &run)); err != nil {
		t.Fatal(err)
	}
	if m.Name != "m1" || run.State != model.RunDone || r.e.token != token {
		t.Errorf("machine %+v, run %+v", m, run)
	}
	wantError(t, r.c.Post(t.Context(), "machines/"+uuid+"/params/my%2Fcount", "x", nil), model.Invalid, "my/count")
	r.ready("toy")
	if _, err := r.act("m1", "poweron", nil); err != nil {
		t.Error(err)
	}
}

func TestStartAndStopTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.build()
	if err := r.e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantError(t, r.e.Start(t.Context()), model.Conflict, "started before")
	if err := errors.Join(r.e.Stop(t.Context()), r.e.Stop(t.Context())); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(r.e.Socket()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	r := newRig(t, "toy")
	r.build()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.e.Run(ctx) }()
	eventually(t, "the socket", func() bool { _, err := os.Stat(r.e.Socket()); return err == nil })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestStopWaitsForRuns(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"toy", "both"} { // one that acts, one that listens too
		t.Run(role, func(t *testing.T) { stopInMidAction(t, role) })
	}
}

// stopInMidAction stops an endpoint while a toy is at work.
func stopInMidAction(t *testing.T, role string) {
	r := newRig(t, role)
	r.open()
	r.ready("toy")
	r.machine("m1", nil)
	reply := r.holdCycle("m1")
	eventually(t, "executing", func() bool { return len(r.executed()) == 1 })
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.stop()
	}()
	eventually(t, "the plugin is being stopped", func() bool { return r.e.sup.unit("toy").ctx.Err() != nil })
	r.put("go", "")
	<-stopped
	r.start()
	var run model.Run
	if err := r.c.Get(t.Context(), "runs/"+reply.Run, &run); err != nil || run.State != model.RunDone {
		t.Errorf("run %+v, %v", run, err)
	}
}

func TestTeardown(t *testing.T) {
	t.Parallel()
	var order []string
	var down teardown
	for _, n := range []string{"a", "b", "c"} {
		down.push(n, time.Minute, func(context.Context) error {
			order = append(order, n)
			if n == "b" {
				return errors.New("stuck")
			}
			return nil
		})
	}
	err := down.unwind(t.Context())
	if strings.Join(order, "") != "cba" || err == nil || err.Error() != "cannot stop b: stuck" {
		t.Errorf("order %v, %v", order, err)
	}
	if err := down.unwind(t.Context()); err != nil {
		t.Errorf("a second time: %v", err)
	}
}
