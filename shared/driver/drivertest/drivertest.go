package drivertest

import (
	"cmp"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

// suiteCase is one case of the suite.
type suiteCase struct {
	name string
	// needs are the actions without which the case says nothing.
	needs []string
	// faults are what the rig must be able to make.
	faults []Fault
	run    func(l *lab)
}

// cases lists the suite.
func cases() []suiteCase {
	return slices.Concat(
		[]suiteCase{{name: "actions", run: checkActions}},
		powerCases(), faultCases(), callerCases(), otherCases(), ruleCases(), identityCases(),
	)
}

// sideBySide is how many cases run at once, whatever the number of processors:
// they wait for devices more than they compute.
const sideBySide = 12

// Run runs the suite, each case as a subtest, several at once. A case that needs
// an action or a fault that the Config leaves out says so and passes. After all
// of them no goroutine may be left that was not there before: so Run is not for
// a test that runs in parallel with others.
func Run(t *testing.T, cfg Config) {
	t.Helper()
	cfg.check(t)
	before := goleak.IgnoreCurrent()
	var all sync.WaitGroup
	places := make(chan struct{}, sideBySide)
	for _, c := range cases() {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			t.Run(c.name, func(t *testing.T) { cfg.runCase(t, c) })
		})
	}
	all.Wait()
	if err := goleak.Find(before); err != nil {
		t.Errorf("after all cases: %v", err)
	}
}

// check refuses a Config that names what is not there: an exclusion must not
// outlive its reason unnoticed.
func (cfg *Config) check(tb testing.TB) {
	tb.Helper()
	if cfg.New == nil {
		tb.Fatal("drivertest: Config.New is not set")
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, 20*time.Second)
	cfg.Short = cmp.Or(cfg.Short, time.Second)
	cfg.Told = cmp.Or(cfg.Told, cfg.Short)
	cfg.Grace = cmp.Or(cfg.Grace, 20*time.Second)
	known := func(kind string, names []string, have func(string) bool, reasons map[string]string) {
		for _, name := range names {
			if !have(name) {
				tb.Fatalf("drivertest: Config.%s names %q, which does not exist", kind, name)
			}
			if reasons[name] == "" {
				tb.Fatalf("drivertest: Config.%s leaves out %q without a reason", kind, name)
			}
		}
	}
	known("Without", names(cfg.Without), func(s string) bool { return slices.Contains(vocabulary(), s) }, cfg.Without)
	known("Skip", names(cfg.Skip), func(s string) bool {
		return slices.ContainsFunc(cases(), func(c suiteCase) bool { return c.name == s })
	}, cfg.Skip)
	faults := make(map[string]string)
	for f, reason := range cfg.NoFault {
		faults[string(f)] = reason
	}
	known("NoFault", names(faults), func(s string) bool { return slices.Contains(allFaults, Fault(s)) }, faults)
}

// runCase runs one case on a rig of its own.
func (cfg *Config) runCase(tb testing.TB, c suiteCase) {
	tb.Helper()
	if reason := cfg.leftOut(c); reason != "" {
		tb.Logf("left out: %s", reason)
		return
	}
	noneLeft(tb, cfg, c.name)
	c.run(newLab(tb, cfg))
}

// leftOut returns the reason why a case is not run, "" if it is.
func (cfg *Config) leftOut(c suiteCase) string {
	if reason := cfg.Skip[c.name]; reason != "" {
		return reason
	}
	for _, action := range c.needs {
		if reason := cfg.Without[action]; reason != "" {
			return "no " + action + ": " + reason
		}
	}
	for _, fault := range c.faults {
		if reason := cfg.NoFault[fault]; reason != "" {
			return "no " + string(fault) + ": " + reason
		}
	}
	return ""
}

// checkActions compares what the driver offers with what the Config says.
func checkActions(l *lab) {
	var offered []string
	for _, a := range l.provider.Actions() {
		if slices.Contains(vocabulary(), a.Command) {
			offered = append(offered, a.Command)
		}
	}
	for _, command := range vocabulary() {
		reason, without := l.cfg.Without[command]
		switch has := slices.Contains(offered, command); {
		case has && without:
			l.Errorf("the driver has %s, which Config.Without leaves out (%s)", command, reason)
		case !has && !without:
			l.Errorf("the driver does not have %s; implement it or give the reason in Config.Without", command)
		}
	}
	if l.rig.Driver.Name() == "" {
		l.Errorf("the driver has no name")
	}
	for _, m := range l.rig.Driver.Modes() {
		if m.Name == "" {
			l.Errorf("a mode of the driver has no name")
		}
	}
}

// vocabulary lists the commands of the vocabulary.
func vocabulary() []string {
	var out []string
	for _, info := range model.Actions() {
		out = append(out, info.Command)
	}
	return out
}

// names returns the keys in order.
func names(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for name := range m {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// isNative reports whether the session that the rig's params open cycles by
// itself.
func (l *lab) isNative() bool {
	l.tb.Helper()
	ctx, cancel := l.bounded(l.cfg.Timeout)
	defer cancel()
	s, err := l.rig.Driver.Open(ctx, l.target())
	if err != nil {
		l.Fatalf("cannot open a session to a device that is well: %v", err)
	}
	_, native := s.(driver.Cycler)
	if err := s.Close(ctx); err != nil {
		l.Errorf("Close of a healthy session: %v", err)
	}
	return native
}
