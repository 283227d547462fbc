package drivertest

import (
	"provision-plugins/shared/model"
)

// bootRow is a boot action and the override it must leave.
type bootRow struct {
	action     string
	device     model.BootDevice
	persistent bool
}

var bootRows = []bootRow{
	{model.NextBootPXE, model.BootPXE, false},
	{model.NextBootDisk, model.BootDisk, false},
	{model.NextBootCD, model.BootCD, false},
	{model.NextBootBIOS, model.BootBIOS, false},
	{model.ForceBootPXE, model.BootPXE, true},
	{model.ForceBootDisk, model.BootDisk, true},
}

// otherCases are the cases of boot, locator and health.
func otherCases() []suiteCase {
	var out []suiteCase
	for _, r := range bootRows {
		out = append(out, suiteCase{name: "boot/" + r.action, needs: []string{r.action}, run: func(l *lab) { checkBoot(l, r) }})
	}
	out = append(out, suiteCase{name: "identify", needs: []string{model.Identify}, run: checkIdentify})
	for _, action := range []string{model.Status, model.Doctor} {
		out = append(out, suiteCase{name: "report/" + action, needs: []string{action}, run: func(l *lab) { checkReport(l, action) }})
	}
	return out
}

// checkBoot: the override is set on the device, and read back where it can be.
func checkBoot(l *lab, r bootRow) {
	ans := l.act(r.action, l.cfg.Timeout)
	same := func(b model.BootOverride) bool {
		return b.Device == r.device && b.Persistent == r.persistent && b.Valid
	}
	if l.rig.Boot != nil && !same(l.rig.Boot()) {
		l.Errorf("%s: the device has the override %+v", r.action, l.rig.Boot())
	}
	if _, without := l.cfg.Without[model.BootStatus]; without {
		if ans.err != nil || ans.res().Outcome != model.Acknowledged {
			l.Errorf("%s: want acknowledged, got %s", r.action, ans)
		}
		return
	}
	if res := l.verified(r.action, ans); res.Boot == nil || !same(*res.Boot) {
		l.Errorf("%s: reads back as %s", r.action, ans)
	}
	read := l.act(model.BootStatus, l.cfg.Timeout)
	if res := read.res(); read.err != nil || res.Boot == nil || !same(*res.Boot) || res.Evidence == "" {
		l.Errorf("bootstatus after %s: %s", r.action, read)
	}
	l.executed(SetBoot, 1)
}

// checkIdentify: the locator is lit once.
func checkIdentify(l *lab) {
	ans := l.act(model.Identify, l.cfg.Timeout)
	if out := ans.res().Outcome; ans.err != nil || out != model.Acknowledged && out != model.Verified {
		l.Errorf("identify: %s", ans)
	}
	l.executed(model.Identify, 1)
}

// checkReport: a reading action answers something and changes nothing.
func checkReport(l *lab, action string) {
	ans := l.act(action, l.cfg.Timeout)
	if ans.err != nil || ans.result == nil {
		l.Errorf("%s: %s", action, ans)
	}
	l.untouched()
}
