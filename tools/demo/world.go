package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/sim/bmc"
	"provision-plugins/sim/slack"
	"provision-plugins/sim/vbox"
)

// The simulated site.
const (
	racks      = 4
	perRack    = 16
	username   = "admin"
	password   = "demo-Pa55word"
	slackToken = "xoxb-demo-t0ken"
	channel    = "C0DEMO" // what the team reads
	logChannel = "C0LOG"  // a line for every run
	powerDelay = 300 * time.Millisecond
	cycleOff   = 700 * time.Millisecond
)

// world is everything the demo runs.
type world struct {
	out     io.Writer
	bin     string
	dir     string // temporary; removed at the end
	fleet   *bmc.Fleet
	slack   *slack.Server
	virtual *vbox.Host
	serve   *exec.Cmd
	served  chan error // gets the endpoint's end, once
	api     *client.Client

	passed int
	seen   bytes.Buffer // all that the commands printed
	log    logBuffer    // all that the endpoint and its plugins printed
	output io.Writer    // where that goes, too
}

// logBuffer is a buffer that a process writes while others read.
type logBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

// Write keeps p.
func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// String is what was written so far.
func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// newWorld starts the simulators and the endpoint, whose log is kept, and with
// follow also printed as it comes. On error nothing is left.
func newWorld(ctx context.Context, out io.Writer, bin string, s sabotage, follow bool) (*world, error) {
	w := &world{out: out, served: make(chan error, 1), output: io.Discard}
	if follow {
		w.output = out
	}
	if err := w.build(ctx, bin, s); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// build starts what newWorld is made of, in order.
func (w *world) build(ctx context.Context, bin string, s sabotage) (err error) {
	if w.bin, err = filepath.Abs(bin); err != nil {
		return fmt.Errorf("cannot find the programs: %w", err)
	}
	if w.dir, err = os.MkdirTemp("", "oob-demo-"); err != nil {
		return fmt.Errorf("cannot make a folder for the demo: %w", err)
	}
	if err = w.plugins(ctx, s); err != nil {
		return err
	}
	if w.fleet, err = bmc.New(bmc.Options{
		Count: racks * perRack, Host: netip.MustParseAddr("127.1.0.1"),
		Username: username, Password: password, PowerDelay: powerDelay, CycleOff: cycleOff, Seed: 1,
	}); err != nil {
		return err
	}
	if w.slack, err = slack.New(slack.Options{Token: slackToken, Channels: []string{channel, logChannel}}); err != nil {
		return err
	}
	if err = w.startVMs(); err != nil {
		return err
	}
	if err = w.files(); err != nil {
		return err
	}
	return w.start()
}

// path is a file of the demo.
func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// plugins fills the plugin dir with copies of the built plugins.
func (w *world) plugins(ctx context.Context, s sabotage) error {
	dir := w.path("plugins")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("cannot make the plugin dir: %w", err)
	}
	built, err := filepath.Glob(filepath.Join(w.bin, "plugins", "[a-z]*"))
	if err != nil || len(built) == 0 {
		return fmt.Errorf("cannot find plugins in %s/plugins: build first (./build.sh)", w.bin)
	}
	for _, from := range built {
		raw, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(from)), raw, 0o755)
		}
		if err != nil {
			return fmt.Errorf("cannot install a plugin: %w", err)
		}
	}
	return s.build(ctx, w.dir, dir)
}

// files writes what an operator would have: the machines, the secrets.
func (w *world) files() error {
	var table bytes.Buffer
	rows := csv.NewWriter(&table)
	err := rows.Write([]string{"name", "driver", "address", "port", "username", "password-file"})
	for i := range w.fleet.Len() {
		addr := w.fleet.BMC(i).Addr()
		err = errors.Join(err, rows.Write([]string{
			machine(i), "ipmi", addr.Addr().String(), fmt.Sprint(addr.Port()), username, "password",
		}))
	}
	rows.Flush()
	for name, text := range map[string]string{
		"machines.csv": table.String(), "password": password + "\n", "old-password": "was-" + password[:8] + "\n", "slack-token": slackToken + "\n",
		"routes.json": slackRoutes,
	} {
		err = errors.Join(err, os.WriteFile(w.path(name), []byte(text), 0o600))
	}
	return errors.Join(err, rows.Error())
}

// slackRoutes are the default rules, behind one that logs every run.
const slackRoutes = `[
  {"name": "log", "types": ["runs"], "mode": "post", "channel": "` + logChannel + `", "continue": true},
  {"name": "trouble", "min_severity": "warning", "mode": "update"},
  {"name": "actions", "types": ["runs"], "mode": "digest", "group_by": ["command", "principal", "reason"]},
  {"name": "rest", "mode": "post"}
]
`

// machine names the i-th machine: rack1n01 and so on.
func machine(i int) string { return fmt.Sprintf("rack%dn%02d", i/perRack+1, i%perRack+1) }

// start runs the endpoint and a client of it.
func (w *world) start() error {
	w.serve = exec.Command(filepath.Join(w.bin, "oob"), "serve",
		"--data-dir", w.path("data"), "--plugin-dir", w.path("plugins"), "--socket", w.path("oob.sock"), "--listen", "127.0.0.1:0")
	both := io.MultiWriter(&w.log, w.output)
	w.serve.Stdout, w.serve.Stderr = both, both
	w.serve.Env = append(os.Environ(), "TMPDIR="+w.dir)
	// Its own group: an interrupt at the terminal is ours to pass on. It ends
	// even when we are killed.
	w.serve.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := w.serve.Start(); err != nil {
		return fmt.Errorf("cannot start the endpoint: %w", err)
	}
	go func() { w.served <- w.serve.Wait() }()
	var err error
	w.api, err = client.New(client.Options{Socket: w.path("oob.sock")})
	return err
}

// say prints one line.
func (w *world) say(format string, args ...any) { fmt.Fprintf(w.out, format+"\n", args...) }

// reply is how a command ended.
type reply struct {
	out, err string
	code     int
}

// quiet runs oob and keeps what it prints.
func (w *world) quiet(ctx context.Context, args ...string) (reply, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(w.bin, "oob"), args...)
	cmd.Env = append(os.Environ(), "OOB_SOCKET="+w.path("oob.sock"))
	cmd.Dir = w.dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return reply{}, fmt.Errorf("cannot run oob: %w", err)
	}
	w.seen.Write(out.Bytes())
	w.seen.Write(errs.Bytes())
	return reply{out.String(), errs.String(), cmd.ProcessState.ExitCode()}, nil
}

// oob runs oob and shows the command with what it prints.
func (w *world) oob(ctx context.Context, args ...string) (reply, error) {
	w.say("\n$ oob %s", strings.Join(args, " "))
	r, err := w.quiet(ctx, args...)
	fmt.Fprint(w.out, r.out, r.err)
	if r.code != 0 {
		w.say("(exit %d)", r.code)
	}
	return r, err
}

// close ends everything and removes what was written. It may be called once.
func (w *world) close() error {
	var errs []error
	if w.api != nil {
		errs = append(errs, w.api.Close())
	}
	if w.serve != nil && w.serve.Process != nil {
		errs = append(errs, w.serve.Process.Signal(syscall.SIGTERM), w.ended())
	}
	if w.slack != nil {
		errs = append(errs, w.slack.Close())
	}
	if w.fleet != nil {
		errs = append(errs, w.fleet.Close())
	}
	if w.virtual != nil {
		errs = append(errs, w.virtual.Close())
	}
	if w.dir != "" {
		errs = append(errs, os.RemoveAll(w.dir))
	}
	return errors.Join(errs...)
}

// ended waits for the endpoint, and kills it when it does not come to an end.
func (w *world) ended() error {
	timer := time.NewTimer(30 * time.Second)
	defer timer.Stop()
	select {
	case err := <-w.served:
		if err != nil {
			return fmt.Errorf("the endpoint ended badly: %w; its log:\n%s", err, w.log.String())
		}
		return nil
	case <-timer.C:
		return errors.Join(errors.New("the endpoint did not stop within 30 s"), w.serve.Process.Kill())
	}
}

// howTo tells how to use what is running.
func (w *world) howTo() {
	w.say(`
Running: %d simulated BMCs, %d simulated VirtualBox VMs, a simulated Slack, an endpoint with its plugins. In another terminal:

  export OOB_SOCKET=%s PATH=%s:$PATH
  oob machine list
  oob power on rack1n[01-16] --yes
  oob boot pxe rack1n01 && oob power cycle rack1n01 --yes
  oob power on vm1 && oob boot pxe vm1 && oob power cycle vm1 --yes
  oob power status --all
  oob events -f

Machines: %s. The endpoint's log follows. Ctrl-C ends everything.
`,
		w.fleet.Len(), vmCount, w.path("oob.sock"), w.bin, w.path("machines.csv"))
}
