package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
	"provision-plugins/sim/slack"
)

// The secrets that are planted; none is part of another, or of any other text.
const (
	plantedStored  = "Stored-7f31-password"
	plantedWrong   = "Wrong-8a42-password"
	plantedRequest = "Asked-9b53-password"
	plantedSlack   = "xoxb-1111-Planted-ac64"
)

// outletRig is a daemon that logs all traffic, with the ipmi and the slack plugin.
type outletRig struct {
	killRig
	dir  string
	cmd  *exec.Cmd
	chat *slack.Server
}

// startOutlets starts all that.
func startOutlets(t *testing.T) *outletRig {
	t.Helper()
	plugins := filepath.Join(shortDir(t), "plugins")
	if err := os.Mkdir(plugins, 0o755); err != nil {
		t.Fatal(err)
	}
	buildPlugin(t, filepath.Join(plugins, "ipmi"))
	path := filepath.Join(plugins, "slack")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "provision-plugins/slack").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	old := time.Unix(1_000_000_000, 0)
	if err := errors.Join(os.Chmod(path, 0o755), os.Chtimes(path, old, old)); err != nil {
		t.Fatal(err)
	}
	o := &outletRig{dir: shortDir(t)}
	var err error
	if o.chat, err = slack.New(slack.Options{Token: plantedSlack}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.chat.Close() }) // nothing waits on it
	o.fleet, err = bmc.New(bmc.Options{Count: 2, Host: netip.MustParseAddr("127.0.0.1"), On: true, Password: plantedStored})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.fleet.Close() }) // nothing waits on it
	o.serve(t, plugins)
	return o
}

// serve starts the daemon; what it logs goes to a file.
func (o *outletRig) serve(t *testing.T, plugins string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(o.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the daemon has it too
	socket := filepath.Join(o.dir, socketName)
	o.cmd = &exec.Cmd{
		Path: self, Stdout: log, Stderr: log, Env: append(os.Environ(), "GORACE=atexit_sleep_ms=0"),
		Args: []string{"oob", "serve", "--data-dir", filepath.Join(o.dir, "data"), "--plugin-dir", plugins, "--listen", "127.0.0.1:0", "--socket", socket, "--backup-keep", "0", "--log", "5"},
	}
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if o.cmd.ProcessState == nil { // the test has failed before its end
			_ = o.cmd.Process.Kill() // and its state is of no matter
			_ = o.cmd.Wait()
		}
	})
	if o.api, err = client.New(client.Options{Socket: socket}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.api.Close() }) // nothing was written
	o.until(t, "both plugins are there", func() bool {
		var list []*model.PluginProvider
		return o.api.Get(t.Context(), "plugin_providers", &list) == nil && len(list) == 2
	})
}

// end stops the daemon and returns what it has logged.
func (o *outletRig) end(t *testing.T) string {
	t.Helper()
	if err := o.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := o.cmd.Wait(); err != nil {
		t.Error(err)
	}
	raw, err := os.ReadFile(filepath.Join(o.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// The passwords of machines, a token and what comes with a request are shown by
// neither the log of all traffic, nor runs, nor what is told in Slack, and lie in
// clear in no file; also where actions fail because of them.
func TestNoOutletOfTheWholeShowsASecret(t *testing.T) {
	o := startOutlets(t)
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	plugin := &model.Plugin{Name: "slack", Provider: "slack", Params: model.Params{"slack/bot-token": plantedSlack, "slack/api-url": o.chat.URL(), "slack/default-channel": "C1"}}
	o.until(t, "the endpoint takes the plugin", func() bool { return o.api.Post(ctx, "plugins", plugin, nil) == nil })
	for i, password := range []string{plantedStored, plantedWrong} {
		at := o.fleet.BMC(i).Addr()
		m := &model.Machine{Name: machineOf(i), Params: model.Params{
			"oob/driver": "ipmi", "ipmi/address": at.Addr().String(), "ipmi/port-ipmitool": int64(at.Port()), "ipmi/username": "admin", "ipmi/password": password,
		}}
		o.until(t, "the endpoint takes the machine", func() bool { return o.api.Post(ctx, "machines", m, nil) == nil })
	}
	o.until(t, "the BMC answers", func() bool { _, err := o.act(t, 0, model.PowerStatus); return err == nil })
	_, off := o.act(t, 0, model.PowerOff)
	_, refused := o.act(t, 1, model.PowerOn)
	asked := client.ActionRequest{Prefix: "machines", Key: "Name:" + machineOf(0), Command: model.PowerOn, Params: model.Params{"ipmi/password": plantedRequest}}
	_, wrong := o.api.Invoke(ctx, asked)
	if off != nil || refused == nil || wrong == nil {
		t.Errorf("off %v, with a wrong password %v, with one of the request %v", off, refused, wrong)
	}
	err := o.chat.Wait(ctx, func(all []slack.Message) bool {
		text := messagesText(all)
		return strings.Contains(text, machineOf(1)) && strings.Contains(text, model.PowerOff)
	})
	if err != nil {
		t.Errorf("%v: %s", err, messagesText(o.chat.Messages()))
	}
	var runs []json.RawMessage
	if err := o.api.Get(ctx, "runs", &runs); err != nil || len(runs) < 3 {
		t.Errorf("%d runs, %v", len(runs), err)
	}
	shown := ""
	for _, run := range runs {
		shown += string(run)
	}
	for _, err := range []error{refused, wrong} {
		if err != nil {
			shown += err.Error()
		}
	}
	outlets := map[string]string{"a run or an error": shown, "Slack": messagesText(o.chat.Messages())}
	o.addCommands(t, outlets)
	outlets["the log"] = o.end(t)
	o.addFiles(t, outlets)
	for where, text := range outlets {
		for _, secret := range []string{plantedStored, plantedWrong, plantedRequest, plantedSlack} {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s shows %s: %q", where, secret, text[max(0, i-200):min(len(text), i+60)])
			}
		}
	}
	for _, what := range []string{"msg=request", "msg=reply", `msg="to plugin" path=poweroff`, `msg="to plugin" path=config`, `msg="to plugin" path=publish`, `msg="from plugin"`} {
		if !strings.Contains(outlets["the log"], what) {
			t.Errorf("the log of all traffic has no %s", what)
		}
	}
}

// messagesText is everything that messages say.
func messagesText(all []slack.Message) string {
	raw, err := json.Marshal(all)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// shownBy are the commands that print what the endpoint knows.
var shownBy = []string{
	"status --all", "power status --all", "boot status --all", "doctor --all", "doctor --endpoint", "machine list", "machine show " + machineOf(0), "machine show " + machineOf(1),
	"runs list", "plugin list", "plugin show slack", "plugin show ipmi", "action getInfo " + machineOf(0), "power on " + machineOf(1) + " --yes", "power off " + machineOf(1) + " --yes --reason x",
	"export", "user list", "token list", "contents list", "profile list", "certificate show", "version", "plugin action slack status",
}

// addCommands adds what the command line prints, for people and for programs, where
// it fails too, and takes a backup, which lies among the files then.
func (o *outletRig) addCommands(t *testing.T, outlets map[string]string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(o.dir, "data")
	for _, line := range append(slices.Clone(shownBy), "backup "+filepath.Join(o.dir, "snapshot")) {
		for _, form := range []string{"", " --json"} {
			args := append([]string{"oob"}, strings.Fields(line+form)...)
			if line == "doctor --endpoint" || line == "certificate show" {
				args = append(args, "--data-dir", data)
			}
			cmd := exec.Cmd{Path: self, Args: append(args, "--socket", filepath.Join(o.dir, socketName)), Env: append(os.Environ(), "GORACE=atexit_sleep_ms=0")}
			out, err := cmd.CombinedOutput()
			if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) || strings.Contains(string(out), "unknown ") {
				t.Errorf("oob %s: %v: %s", line+form, err, out)
			}
			outlets["oob "+line+form] = string(out)
		}
	}
}

// addFiles adds every file of the daemon and its plugins.
func (o *outletRig) addFiles(t *testing.T, outlets map[string]string) {
	t.Helper()
	err := filepath.WalkDir(o.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(name)
		outlets[name] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(outlets) < 10 {
		t.Errorf("only %d outlets were looked at", len(outlets))
	}
}
