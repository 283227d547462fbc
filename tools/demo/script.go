package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
	"provision-plugins/sim/slack"
)

// The checks that sabotage must trip.
const (
	checkSlackRuns      = "Slack was told of every run"
	checkCycledOnce     = "each machine of the rack was cycled exactly once"
	checkStatesAreTrue  = "states read are the simulators' own"
	checkVerifiedIsTrue = "machines called on are on"
)

// The machines of the last act, by index.
const (
	lostReply = 2 * perRack // rack3n01
	silent    = lostReply + 1
	refused   = lostReply + 2
	pressed   = 3 * perRack // rack4n01
)

// checkError is a check that failed.
type checkError struct{ check, why string }

// Error names the check and says why it failed.
func (e *checkError) Error() string { return fmt.Sprintf("check %q: %s", e.check, e.why) }

// check counts a check that holds and prints it, or fails.
func (w *world) check(name string, holds bool, format string, args ...any) error {
	why := fmt.Sprintf(format, args...)
	if !holds {
		return &checkError{name, why}
	}
	w.passed++
	w.say("  ok: %s (%s)", name, why)
	return nil
}

// play runs the acts in order and stops at the first failed check.
func (w *world) play(ctx context.Context) error {
	for _, act := range []struct {
		title string
		run   func(context.Context) error
	}{
		{"An endpoint with four plugins in its plugin dir, 64 BMCs, two VirtualBox VMs, a Slack workspace", w.prepare},
		{"Power on the fleet", w.powerOn},
		{"Network boot and power cycle of rack 2", w.cycleRack},
		{"Read the states back", w.readBack},
		{"A reply to a power cycle is lost", w.loseReply},
		{"A silent BMC, and a password that no longer holds", w.faults},
		{"A VirtualBox VM boots once from the network", w.driveVMs},
		{"VBoxSVC is killed under a VM", w.loseService},
		{"What Slack was told", w.slackPosts},
		{"No secret was printed, logged or posted", w.secrets},
	} {
		w.say("\n== %s", act.title)
		if err := act.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prepare waits for the plugins, adds the machines and configures Slack.
func (w *world) prepare(ctx context.Context) error {
	if err := w.pluginsFound(ctx); err != nil {
		return err
	}
	if _, err := w.oob(ctx, "plugin", "list"); err != nil {
		return err
	}
	r, err := w.oob(ctx, "plugin", "add", "slack", "--param-file", "slack/bot-token=slack-token", "--param-file", "slack/routes=routes.json",
		"--param", "slack/api-url="+w.slack.URL(), "--param", "slack/default-channel="+channel)
	if err != nil {
		return err
	}
	if err := w.check("Slack plugin configured", r.code == 0 && w.slack.Calls("auth.test") == 1, "auth.test called %d times", w.slack.Calls("auth.test")); err != nil {
		return err
	}
	if _, err = w.oob(ctx, "machine", "add", "--csv", "machines.csv"); err != nil {
		return err
	}
	machines, err := w.api.Machines().List(ctx, client.Query{})
	if err != nil {
		return err
	}
	if err := w.check("machines added from the CSV", len(machines) == w.fleet.Len(), "%d of %d", len(machines), w.fleet.Len()); err != nil {
		return err
	}
	return w.addVMs(ctx)
}

// pluginsFound waits until the endpoint lists the four plugins and runs ipmi.
func (w *world) pluginsFound(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		providers, err := w.api.Providers().List(ctx, client.Query{})
		plugins, err2 := w.api.Plugins().List(ctx, client.Query{})
		err = errors.Join(err, err2)
		// A provider has a version once its define was understood.
		loaded := slices.DeleteFunc(providers, func(p model.PluginProvider) bool { return p.Version == "" })
		running := len(plugins) == 1 && plugins[0].Provider == "ipmi" && plugins[0].Available
		if err == nil && len(loaded) == 4 && running {
			return w.check("plugins found and ipmi started by itself", true, "%d providers", len(loaded))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return w.check("plugins found and ipmi started by itself", false, "%d providers, plugins %+v, %v; the endpoint's log:\n%s", len(providers), plugins, err, w.log.String())
		}
	}
}

// count counts the BMCs of [from, to) for which holds.
func (w *world) count(from, to int, holds func(*bmc.BMC) bool) int {
	n := 0
	for i := from; i < to; i++ {
		if holds(w.fleet.BMC(i)) {
			n++
		}
	}
	return n
}

// executed tells whether a BMC executed a command n times.
func executed(command string, n int) func(*bmc.BMC) bool {
	return func(b *bmc.BMC) bool { return b.Executed(command) == n }
}

// powerOn powers everything on, twice: the second time nothing is to be done.
func (w *world) powerOn(ctx context.Context) error {
	all := w.fleet.Len()
	r, err := w.oob(ctx, "power", "on", "rack[1-4]n[01-16]", "--yes")
	if err != nil {
		return err
	}
	on := w.count(0, all, (*bmc.BMC).Power)
	if err := w.check(checkVerifiedIsTrue, r.code == 0 && on == all, "%d of %d simulated machines are on, exit %d", on, all, r.code); err != nil {
		return err
	}
	once := w.count(0, all, executed("power on", 1))
	if err := w.check("power on executed exactly once each", once == all, "%d of %d", once, all); err != nil {
		return err
	}
	if r, err = w.oob(ctx, "power", "on", "rack[1-4]n[01-16]", "--yes"); err != nil {
		return err
	}
	once = w.count(0, all, executed("power on", 1))
	return w.check("power on again changed nothing", r.code == 0 && once == all, "still once on %d of %d", once, all)
}

// cycleRack boots rack 2 from the network, next time only.
func (w *world) cycleRack(ctx context.Context) error {
	from, to := perRack, 2*perRack
	if _, err := w.oob(ctx, "boot", "pxe", "rack2n[01-16]", "--yes"); err != nil {
		return err
	}
	set := w.count(from, to, func(b *bmc.BMC) bool { return isNextPXE(b.Boot()) })
	if err := w.check("next boot PXE set", set == perRack, "%d of %d, valid and not persistent", set, perRack); err != nil {
		return err
	}
	r, err := w.oob(ctx, "power", "cycle", "rack2n[01-16]", "--yes", "--reason", "reinstall")
	if err != nil {
		return err
	}
	once := w.count(from, to, executed("power cycle", 1))
	if err := w.check(checkCycledOnce, once == perRack, "%d of %d, exit %d", once, perRack, r.code); err != nil {
		return err
	}
	verified, err := w.verified(ctx, from, to)
	if err != nil {
		return err
	}
	if err := w.check("every cycle was verified: off seen, then on", r.code == 0 && verified == perRack, "%d of %d", verified, perRack); err != nil {
		return err
	}
	booted := w.count(from, to, func(b *bmc.BMC) bool {
		flags, _ := b.Booted()
		return isNextPXE(flags) && !b.Boot().Valid
	})
	return w.check("the rack booted from the network, once", booted == perRack, "%d of %d", booted, perRack)
}

// isNextPXE tells whether flags mean the network, next time only.
func isNextPXE(f bmc.BootFlags) bool {
	return f.Valid && !f.Persistent && f.Device == "pxe"
}

// verified counts the machines of [from, to) whose newest run is a power cycle
// that was verified by what was seen.
func (w *world) verified(ctx context.Context, from, to int) (int, error) {
	newest, err := w.newestRuns(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for i := from; i < to; i++ {
		run := newest[machine(i)]
		var result model.Result
		if err := model.Unmarshal(run.Result, &result); err != nil {
			return 0, err
		}
		if run.Command == model.PowerCycle && result.Outcome == model.Verified && strings.Contains(result.Evidence, "off") {
			n++
		}
	}
	return n, nil
}

// newestRuns returns the newest run of each machine, by machine name.
func (w *world) newestRuns(ctx context.Context) (map[string]model.Run, error) {
	runs, err := w.api.Runs().List(ctx, client.Query{})
	if err != nil {
		return nil, err
	}
	newest := map[string]model.Run{}
	for _, run := range runs {
		if run.Created.After(newest[run.Name].Created) {
			newest[run.Name] = run
		}
	}
	return newest, nil
}

// readBack switches a machine off by its button, so that not all states are
// the same, and reads them.
func (w *world) readBack(ctx context.Context) error {
	w.say("(somebody holds the power button of %s)", machine(pressed))
	w.fleet.BMC(pressed).SetPower(false)
	if _, err := w.oob(ctx, "power", "status", "--all"); err != nil {
		return err
	}
	r, err := w.quiet(ctx, "power", "status", "--all", "--json")
	if err != nil {
		return err
	}
	states, err := parseStates(r.out)
	if err != nil {
		return err
	}
	right := 0
	for i := range w.fleet.Len() {
		want := model.StateOff
		if w.fleet.BMC(i).Power() {
			want = model.StateOn
		}
		if states[machine(i)] == want {
			right++
		}
	}
	return w.check(checkStatesAreTrue, right == w.fleet.Len(), "%d of %d", right, w.fleet.Len())
}

// parseStates reads the JSON lines of oob power status.
func parseStates(lines string) (map[string]model.PowerState, error) {
	states := map[string]model.PowerState{}
	for line := range strings.Lines(lines) {
		var answer struct {
			Machine string       `json:"machine"`
			Result  model.Result `json:"result"`
		}
		if err := model.Unmarshal([]byte(line), &answer); err != nil {
			return nil, fmt.Errorf("cannot read the answer %q: %w", line, err)
		}
		states[answer.Machine] = answer.Result.Power
	}
	return states, nil
}

// loseReply cycles a machine whose BMC's answer never arrives.
func (w *world) loseReply(ctx context.Context) error {
	b := w.fleet.BMC(lostReply)
	b.SetFaults(bmc.Faults{DropReplies: map[string]int{"power cycle": bmc.Always}})
	defer b.SetFaults(bmc.Faults{})
	r, err := w.oob(ctx, "power", "cycle", machine(lostReply), "--yes", "--timeout", "3")
	if err != nil {
		return err
	}
	times := b.Executed("power cycle")
	if err := w.check("a power cycle whose reply is lost is executed exactly once", times == 1, "the BMC executed %d", times); err != nil {
		return err
	}
	newest, err := w.newestRuns(ctx)
	if err != nil {
		return err
	}
	run := newest[machine(lostReply)]
	var result model.Result
	if err := model.Unmarshal(run.Result, &result); err != nil {
		return err
	}
	found := run.State == model.RunDone && result.Outcome == model.Verified && b.Power()
	return w.check("its outcome was found by reading the device", r.code == 0 && found, "run %s: %s: %s", run.State, result.Outcome, result.Evidence)
}

// faults asks a BMC that is silent and one that refuses the password.
func (w *world) faults(ctx context.Context) error {
	w.fleet.BMC(silent).SetFaults(bmc.Faults{Silent: true})
	defer w.fleet.BMC(silent).SetFaults(bmc.Faults{})
	r, err := w.oob(ctx, "power", "on", machine(silent), "--yes", "--timeout", "3")
	if err != nil {
		return err
	}
	if err := w.oneLine("a silent BMC gets one clear line", r, model.Unreachable, machine(silent)); err != nil {
		return err
	}
	w.say("\n(somebody changed the password of %s: the one that oob has no longer holds)", machine(refused))
	if r, err = w.oob(ctx, "machine", "set", machine(refused), "--param-file", "ipmi/password=old-password"); err != nil {
		return err
	}
	if err := w.check("the machine's password was replaced", r.code == 0, "exit %d", r.code); err != nil {
		return err
	}
	if r, err = w.oob(ctx, "power", "off", machine(refused), "--yes", "--timeout", "3"); err != nil {
		return err
	}
	if err := w.oneLine("a refused password gets one clear line", r, model.DeviceAuth, machine(refused)); err != nil {
		return err
	}
	off := w.fleet.BMC(refused).Executed("power off")
	return w.check("the BMC that refused the password executed nothing", off == 0, "power off executed %d times", off)
}

// oneLine checks that a command failed with one line naming the machine, and
// with the kind's exit code.
func (w *world) oneLine(name string, r reply, kind model.Kind, machine string) error {
	said := strings.TrimSpace(r.out + r.err)
	good := r.code == kind.Info().Exit && strings.Contains(said, machine) && strings.Contains(said, string(kind)) && !strings.Contains(said, "\n")
	if !good {
		return w.check(name, false, "exit %d: %s", r.code, said)
	}
	return w.check(name, true, "exit %d", r.code)
}

// slackPosts waits until Slack has a line for every run and shows the last ones.
func (w *world) slackPosts(ctx context.Context) error {
	runs, err := w.api.Runs().List(ctx, client.Query{})
	if err != nil {
		return err
	}
	patient, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	// A wait in vain shows in the counts below.
	_ = w.slack.Wait(patient, func(posted []slack.Message) bool { return len(lines(in(logChannel, posted))) >= len(runs) })
	logged, team := lines(in(logChannel, w.slack.Messages())), in(channel, w.slack.Messages())
	told := 0
	for _, run := range runs {
		if mentions(logged, run.Name+" "+run.Command) == mentions(names(runs), run.Name+" "+run.Command) {
			told++
		}
	}
	w.say("%d lines in the log's channel, %d messages in the team's; the last of these:", len(logged), len(team))
	for _, m := range team[max(0, len(team)-6):] {
		w.say("  | %s%s", map[bool]string{true: "  (in the thread) "}[m.ThreadTS != ""], m.Text)
	}
	if err := w.check(checkSlackRuns, told == len(runs), "%d of %d, each once", told, len(runs)); err != nil {
		return err
	}
	button := mentions(lines(team), machine(pressed)+" is now off (was on)")
	return w.check("Slack was told of the power button", button == 1, "%d times", button)
}

// in are the messages of one channel.
func in(channel string, posted []slack.Message) []slack.Message {
	var out []slack.Message
	for _, m := range posted {
		if m.Channel == channel {
			out = append(out, m)
		}
	}
	return out
}

// lines are the lines of all messages.
func lines(posted []slack.Message) []string {
	var out []string
	for _, m := range posted {
		out = append(out, strings.Split(m.Text, "\n")...)
	}
	return out
}

// names are the runs as Slack lines name them.
func names(runs []model.Run) []string {
	var out []string
	for _, run := range runs {
		out = append(out, run.Name+" "+run.Command)
	}
	return out
}

// mentions counts the lines that contain the words.
func mentions(lines []string, words string) int {
	n := 0
	for _, line := range lines {
		if strings.Contains(line, words) {
			n++
		}
	}
	return n
}

// secrets looks for the secrets wherever text went.
func (w *world) secrets(context.Context) error {
	text := w.seen.String() + w.log.String() + strings.Join(lines(w.slack.Messages()), "\n")
	leaks := 0
	for _, secret := range []string{password, slackToken} {
		leaks += strings.Count(text, secret)
	}
	return w.check("no secret in any output", leaks == 0, "%d found in %d KiB", leaks, len(text)/1024)
}

// nothingLeft checks, after close, that no process and no file stayed behind.
func (w *world) nothingLeft() error {
	w.say("\n== Nothing is left behind")
	_, err := os.Stat(w.dir)
	if err := w.check("no file left", errors.Is(err, os.ErrNotExist), "%s", w.dir); err != nil {
		return err
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	var left []string
	for _, file := range processes {
		// A process that ended since the listing has no command line.
		if line, err := os.ReadFile(file); err == nil && bytes.Contains(line, []byte(w.dir)) {
			left = append(left, string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return w.check("no process left", len(left) == 0, "%d: %s", len(left), strings.Join(left, "; "))
}
