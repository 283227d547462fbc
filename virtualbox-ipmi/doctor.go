package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
	"provision-plugins/virtualbox-ipmi/bootonce"
	"provision-plugins/virtualbox-ipmi/vbox"
)

var _ driver.Doctor = (*vboxDriver)(nil)

// rung is one check of the ladder.
type rung struct {
	name string
	// needs names the rungs without which this one has nothing to look at.
	needs []string
	look  func(ctx context.Context, x *examination) model.Check
}

// The names of the rungs that others need.
const (
	rungCommand = "VBoxManage"
	rungService = "VBoxSVC"
	rungVM      = "VM"
)

// ladder is the checks in order.
var ladder = []rung{
	{rungCommand, nil, lookCommand},
	{rungService, []string{rungCommand}, lookService},
	{rungVM, []string{rungService}, lookVM},
	{"state", []string{rungVM}, lookState},
	{"session", []string{rungVM}, lookSession},
	{"process", []string{rungVM}, lookProcess},
	{"networks", []string{rungVM}, lookNetworks},
	{"boot order", []string{rungVM}, lookBoot},
	{"serial port", []string{rungVM}, lookSerial},
	{"identity", []string{rungVM}, lookIdentity},
}

// examination is what one Doctor has found out.
type examination struct {
	session *session
	pin     string
	info    *vbox.Info
	kept    extradata
}

// Doctor climbs the ladder. It changes nothing.
func (d *vboxDriver) Doctor(ctx context.Context, t *driver.Target) (*model.Checkup, error) {
	s, err := d.open(t)
	if err != nil {
		return nil, err
	}
	pin, err := t.Params.String(model.ParamIdentity, "")
	if err != nil {
		return nil, err
	}
	x := &examination{session: s, pin: pin}
	var c model.Checkup
	broken := map[string]string{} // what a rung fails for, by its name
	for _, r := range ladder {
		at := slices.IndexFunc(r.needs, func(need string) bool { return broken[need] != "" })
		if at >= 0 {
			broken[r.name] = broken[r.needs[at]]
			c.Add(model.Check{Name: r.name, Verdict: model.VerdictSkipped, Cause: broken[r.name] + " failed"})
			continue
		}
		check := r.look(ctx, x)
		check.Name = r.name
		if check.Verdict == model.VerdictFailed {
			broken[r.name] = r.name
		}
		c.Add(check)
	}
	return &c, nil
}

// good is a check that found all well.
func good(format string, args ...any) model.Check {
	return model.Check{Verdict: model.VerdictOK, Found: fmt.Sprintf(format, args...)}
}

// warning is a check that found something to look at.
func warning(found, cause, mend string) model.Check {
	return model.Check{Verdict: model.VerdictWarning, Found: found, Cause: cause, Mend: mend}
}

// failure is the check of what an action would fail with.
func failure(err error) model.Check {
	e := model.AsError(wire(err))
	return model.Check{Verdict: model.VerdictFailed, Kind: e.Kind(), Cause: e.Text()}
}

// lookCommand runs VBoxManage.
func lookCommand(ctx context.Context, x *examination) model.Check {
	began := time.Now()
	v, err := x.session.vm.Version(ctx)
	if err != nil {
		return failure(err)
	}
	found := fmt.Sprintf("version %s, answers in %v", v.Text, time.Since(began).Round(time.Millisecond))
	if !v.AtLeast(5, 0) {
		return warning(found, "versions before 5.0 are not known to work", "install a later one")
	}
	return good("%s", found)
}

// lookService has VBoxManage ask VirtualBox's service.
func lookService(ctx context.Context, x *examination) model.Check {
	all, err := x.session.vm.List(ctx)
	if err != nil {
		return failure(err)
	}
	whose := "the present user"
	if x.session.vm.user != "" {
		whose = "user " + x.session.vm.user
	}
	lost := 0
	for _, one := range all {
		if one.Inaccessible {
			lost++
		}
	}
	if lost > 0 {
		return warning(fmt.Sprintf("%d VMs of %s", len(all), whose), fmt.Sprintf("%d of them are inaccessible", lost), "VBoxManage list vms shows them; mend their settings files or unregister them")
	}
	return good("%d VMs of %s", len(all), whose)
}

// lookVM reads the VM.
func lookVM(ctx context.Context, x *examination) model.Check {
	info, err := x.session.info(ctx)
	if err == nil {
		x.info = info
		x.kept, err = x.session.kept(ctx)
	}
	if err != nil {
		return failure(err)
	}
	return good("%q, %s", info.Name, info.UUID)
}

// lookState looks at the state.
func lookState(_ context.Context, x *examination) model.Check {
	s := x.info.State
	switch {
	case s.Word == vbox.WordGuru:
		return warning(s.Word, s.Note, "poweroff or powercycle it")
	case s.Word == vbox.WordPaused:
		return warning(s.Word, s.Note, "resume it")
	case s.Word == vbox.WordAborted || s.Word == vbox.WordAbortedSaved:
		return warning(s.Word, s.Note, "see VBox.log in "+x.info.LogFolder)
	case s.Power == model.StateUnknown:
		return warning(s.Word, "VirtualBox has a word for the state that is not known here", "look at the VM itself")
	}
	return good("%s, which is %s", s.Word, s.Power)
}

// lookSession looks who has the VM open.
func lookSession(_ context.Context, x *examination) model.Check {
	info := x.info
	switch {
	case info.Session == "" && info.State.Power == model.StateOn:
		return warning("none", "a VM that is on should have one", "look at the user's VBoxSVC process")
	case info.Session == "":
		return good("none: it can be changed and started")
	case info.State.Power == model.StateOff:
		return warning(info.Session, "the VM is off and somebody has it open: it cannot be changed or started", "close its settings, or wait a second after a stop")
	}
	return good("%s", info.Session)
}

// lookProcess compares what VirtualBox tells with what runs.
func lookProcess(ctx context.Context, x *examination) model.Check {
	pid, err := x.session.vm.Process(ctx, x.info.UUID)
	on := x.info.State.Power == model.StateOn
	switch {
	case err != nil:
		return warning("", err.Error(), "")
	case pid == 0 && on:
		return warning("none", "none is seen that was started with the VM's UUID", "it may run where this computer does not see it")
	case pid == 0:
		return good("none")
	case x.info.State.Power == model.StateOff && x.info.Session == "":
		return failure(model.Errorf(model.Conflict, "VirtualBox takes the VM for %s, but its process %d still runs, so that it cannot be started: end that process", x.info.State.Word, pid))
	}
	return good("process %d", pid)
}

// lookNetworks looks at the VM's adapters and whether a host-only interface they
// need is there.
func lookNetworks(ctx context.Context, x *examination) model.Check {
	var all []string
	for _, n := range x.info.NICs {
		text := n.Kind
		if n.Network != "" {
			text += " " + n.Network
		}
		all = append(all, text)
		if !n.Cable {
			return warning(text, fmt.Sprintf("the cable of adapter %d is unplugged", n.Number), fmt.Sprintf("VBoxManage modifyvm %s --cableconnected%d on", x.info.UUID, n.Number))
		}
		if n.Kind != "hostonly" {
			continue
		}
		out, err := x.session.vm.Run(ctx, "list", "hostonlyifs")
		if err == nil && !slices.ContainsFunc(strings.Split(string(out), "\n"), func(line string) bool {
			name, ok := strings.CutPrefix(line, "Name:")
			return ok && strings.TrimSpace(name) == n.Network
		}) {
			return warning(text, "there is no host-only interface "+n.Network, "run VBoxManage hostonlyif create")
		}
	}
	if len(all) == 0 {
		return warning("none", "without an adapter the VM cannot boot from a network", "VBoxManage modifyvm "+x.info.UUID+" --nic1 nat")
	}
	return good("%s", strings.Join(all, ", "))
}

// lookBoot looks at the boot order and what waits for it.
func lookBoot(_ context.Context, x *examination) model.Check {
	if x.info.EFI() {
		return warning(x.info.Firmware, "the firmware keeps a boot order of its own: boot overrides are not supported", "use firmware BIOS")
	}
	state := x.kept.state(x.info)
	if !slices.Contains(state.Order[:], bootonce.Word(model.BootPXE)) {
		return good("%s; no network in it until a boot override asks for one", state.Override().Raw)
	}
	return good("%s", state.Override().Raw)
}

// lookSerial looks whether there is a serial port to connect to.
func lookSerial(_ context.Context, x *examination) model.Check {
	port, err := consolePort(x.info)
	if err != nil {
		return model.Check{Verdict: model.VerdictSkipped, Cause: "no serial port on a socket, so no console"}
	}
	return good("port %d on %s", port.Number, port.Path)
}

// errPinned is why an identity is not what a machine is pinned to.
var errPinned = errors.New("it is another machine than the one that is pinned")

// lookIdentity compares the VM with what the machine is pinned to.
func lookIdentity(ctx context.Context, x *examination) model.Check {
	id, err := x.session.Identity(ctx)
	switch {
	case err != nil:
		return failure(err)
	case x.pin != "" && !id.Is(x.pin):
		return failure(model.Errorf(model.Conflict, "%s is %s: %w", model.ParamIdentity, x.pin, errPinned))
	case x.pin != "":
		return good("%s, as pinned", id)
	}
	return good("%s", id)
}
