package main

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"provision-plugins/ipmi/facts"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// newPassword is what passwords are changed to.
const newPassword = "two-Otters-at-dusk"

// keeper is a driver with a journal in dir, and its provider.
func keeper(t *testing.T, dir string) (*ipmiDriver, *driver.Provider) {
	t.Helper()
	d, p := pluginIn(t, dir)
	if err := d.journal.Open(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, p) })
	return d, p
}

// underway counts the changes in a journal.
func underway(t *testing.T, dir string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "password-changes", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// Accounts are told with what each may do, to an operator.
func TestUsers(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{})
	b.AddUser(bmc.Account{Name: "viewer", Password: "x", Limit: bmc.User, Disabled: true})
	got := answer[*facts.Users](t, getUsers, b)
	if len(got.Users) != 2 || got.Slots != 10 {
		t.Fatalf("%+v", got)
	}
	own, viewer := got.Users[0], got.Users[1]
	if own.Name != testUser || own.ID != "2" || !*own.Enabled || own.Privilege != "OPERATOR" || viewer.Name != "viewer" || *viewer.Enabled || viewer.Privilege != "USER" {
		t.Errorf("%+v", got)
	}
}

// A password is changed and proven by a login, and nothing is left in the journal.
func TestSetUserPassword(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		user, password string
		note           string
	}{
		"its own":      {"", newPassword, paramPassword},
		"a short one":  {"", "sixteen-letters!", paramPassword},
		"another user": {"viewer", newPassword, ""},
		"as it is":     {"", testPassword, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			b := startBMC(t, bmc.Options{Limit: bmc.Administrator})
			b.AddUser(bmc.Account{Name: "viewer", Password: "x", Limit: bmc.User})
			_, p := keeper(t, dir)
			result, err := ask(p, setUserPassword, b.Addr(), model.Params{paramNewPassword: row.password, paramChangeUser: row.user})
			if err != nil {
				t.Fatal(err)
			}
			got := result.(model.Result)
			if got.Outcome != model.Verified || !strings.Contains(got.Evidence, "a login of user") || strings.Contains(got.Note, paramPassword) != (row.note != "") || strings.Contains(got.Note+got.Evidence, row.password) {
				t.Errorf("%+v", got)
			}
			if own := b.Password(); own == row.password != (row.user == "") || underway(t, dir) != 0 || b.Executed(bmc.SetPassword) != 1 {
				t.Errorf("%d changes under way", underway(t, dir))
			}
		})
	}
}

// A change that was cut short after any step is finished by who asks for the same
// again, with no more than one login that is refused.
func TestSetUserPasswordAfterACrash(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		journaled, set, ended bool
		sets, refused         int
		asks                  string // with which the machine is known by then
	}{
		"before anything":        {sets: 1, asks: testPassword},
		"after it was journaled": {journaled: true, sets: 1, refused: 1, asks: testPassword},
		"after it was set":       {journaled: true, set: true, asks: testPassword},
		"after it was committed": {journaled: true, set: true, ended: true, sets: 1, asks: newPassword},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			b := startBMC(t, bmc.Options{Limit: bmc.Administrator})
			peer := b.Addr().String()
			before, p := keeper(t, dir)
			stop(t, p)
			if row.journaled {
				if err := before.journal.Begin(peer, testUser, newPassword, time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			if row.set {
				b.GivePassword(newPassword)
			}
			if row.ended {
				if err := before.journal.End(peer, testUser); err != nil {
					t.Fatal(err)
				}
			}
			_, p = keeper(t, dir)
			result, err := ask(p, setUserPassword, b.Addr(), model.Params{paramNewPassword: newPassword, paramPassword: row.asks})
			if err != nil {
				t.Fatal(err)
			}
			if got := result.(model.Result); got.Outcome != model.Verified || b.Password() != newPassword || underway(t, dir) != 0 {
				t.Errorf("%+v, %d under way", got, underway(t, dir))
			}
			if n := b.Executed(bmc.SetPassword); n != row.sets {
				t.Errorf("set %d times, want %d", n, row.sets)
			}
			if n := b.Executed(bmc.LoginRefused); n > row.refused {
				t.Errorf("%d logins were refused, want %d", n, row.refused)
			}
		})
	}
}

// What fails, what is left then, and that no password is told.
func TestSetUserPasswordThatFails(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		limit  bmc.Privilege
		faults bmc.Faults
		params model.Params
		kind   model.Kind
		says   string
		left   int
	}{
		"none":                {params: model.Params{paramNewPassword: ""}, kind: model.Invalid, says: "not in the request"},
		"too long":            {params: model.Params{paramNewPassword: strings.Repeat("x", 21)}, kind: model.Invalid, says: "21 bytes"},
		"a zero byte":         {params: model.Params{paramNewPassword: "a\x00b"}, kind: model.Invalid, says: "zero byte"},
		"no such user":        {params: model.Params{paramChangeUser: "nobody"}, kind: model.NotFound, says: "getUsers"},
		"no administrator":    {limit: bmc.Operator, kind: model.DeviceAuth, says: "ADMINISTRATOR"},
		"refused":             {faults: bmc.Faults{Odd: bmc.Odd{Codes: map[string]uint8{bmc.SetPassword: 0xcc}}}, kind: model.Unsupported},
		"the BMC cuts it":     {faults: bmc.Faults{Odd: bmc.Odd{CutsPasswords: true}}, kind: model.Conflict, says: "refuses a login", left: 1},
		"the BMC ignores it":  {faults: bmc.Faults{Ignore: map[string]int{bmc.SetPassword: bmc.Always}}, kind: model.Conflict, says: "refuses a login", left: 1},
		"no answer to it":     {faults: bmc.Faults{DropReplies: map[string]int{bmc.SetPassword: bmc.Always}}, kind: model.UnknownOutcome, left: 1},
		"no login afterwards": {faults: bmc.Faults{Reboots: map[string]int{bmc.SetPassword: 1}, RebootTime: time.Hour}, kind: model.UnknownOutcome, left: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if row.limit == 0 {
				row.limit = bmc.Administrator
			}
			b := startBMC(t, bmc.Options{Limit: row.limit})
			b.SetFaults(row.faults)
			var told bytes.Buffer
			d := patientDriver()
			if err := errors.Join(d.broker.Remember(dir, slog.New(slog.NewTextHandler(&told, nil))), d.journal.Open(dir)); err != nil {
				t.Fatal(err)
			}
			p := driver.NewProvider(d, driver.Options{Logger: slog.New(slog.NewTextHandler(&told, &slog.HandlerOptions{Level: slog.LevelDebug}))})
			params := model.Params{paramNewPassword: newPassword, "oob/timeout": 8}
			for k, v := range row.params {
				params[k] = v
			}
			result, err := ask(p, setUserPassword, b.Addr(), params)
			if kindOf(err) != row.kind || !strings.Contains(err.Error(), row.says) {
				t.Errorf("%v, %v", result, err)
			}
			stop(t, p)
			if n := underway(t, dir); n != row.left {
				t.Errorf("%d changes under way", n)
			}
			if err != nil && strings.Contains(err.Error()+told.String()+filesIn(t, dir), newPassword) {
				t.Error("the new password is told")
			}
		})
	}
}

// filesIn is all that is kept in a directory.
func filesIn(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if info, err := d.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
		raw, err := os.ReadFile(path)
		all.Write(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// Another change than the one under way is refused until that is given up.
func TestSetUserPasswordBesideAnother(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := startBMC(t, bmc.Options{Limit: bmc.Administrator})
	d, p := keeper(t, dir)
	if err := d.journal.Begin(b.Addr().String(), testUser, "another-one", time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(p, setUserPassword, b.Addr(), model.Params{paramNewPassword: newPassword}); model.KindOf(err) != model.Conflict || b.Executed(bmc.SetPassword) != 0 {
		t.Error(err)
	}
	if _, err := ask(p, setUserPassword, b.Addr(), model.Params{paramNewPassword: newPassword, paramConfirm: "m1"}); err != nil || b.Password() != newPassword || underway(t, dir) != 0 {
		t.Error(err)
	}
}

// Without a place for the journal nothing is changed.
func TestSetUserPasswordWithoutAJournal(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{Limit: bmc.Administrator})
	if _, err := ask(newProvider(t), setUserPassword, b.Addr(), model.Params{paramNewPassword: newPassword}); err == nil || b.Executed(bmc.SetPassword) != 0 {
		t.Error(err)
	}
}

// The BMC is restarted once, for who names the machine, by an administrator; the
// machine notices nothing.
func TestResetBMC(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		limit    bmc.Privilege
		faults   bmc.Faults
		params   model.Params
		kind     model.Kind
		executed int
		as       string
	}{
		"cold":             {params: confirm(), executed: 1, as: bmc.ColdReset},
		"warm":             {params: model.Params{paramConfirm: "m1", paramReset: "warm"}, executed: 1, as: bmc.WarmReset},
		"not confirmed":    {kind: model.Invalid, as: bmc.ColdReset},
		"lukewarm":         {params: model.Params{paramConfirm: "m1", paramReset: "lukewarm"}, kind: model.Invalid, as: bmc.ColdReset},
		"no administrator": {limit: bmc.Operator, params: confirm(), kind: model.DeviceAuth, as: bmc.ColdReset},
		"not answered":     {faults: bmc.Faults{Reboots: map[string]int{bmc.ColdReset: 1}, RebootTime: 100 * time.Millisecond}, params: confirm(), kind: model.UnknownOutcome, executed: 1, as: bmc.ColdReset},
		"the order lost":   {faults: bmc.Faults{DropRequests: map[string]int{bmc.ColdReset: 1}}, params: model.Params{paramConfirm: "m1", "oob/timeout": 40}, kind: model.UnknownOutcome, as: bmc.ColdReset},
		"refused":          {faults: bmc.Faults{Odd: bmc.Odd{Codes: map[string]uint8{bmc.ColdReset: 0xc1}}}, params: confirm(), kind: model.Unsupported, as: bmc.ColdReset},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if row.limit == 0 {
				row.limit = bmc.Administrator
			}
			b := startBMC(t, bmc.Options{Limit: row.limit, On: true})
			b.SetFaults(row.faults)
			p := briskProvider(t)
			result, err := ask(p, bmcReset, b.Addr(), model.Params{"oob/timeout": 40}, row.params)
			if kindOf(err) != row.kind || b.Executed(row.as) != row.executed || !b.Power() {
				t.Fatalf("%v, %v, executed %d times", result, err, b.Executed(row.as))
			}
			if got, ok := result.(model.Result); row.kind == "" && (!ok || got.Outcome != model.Verified || got.Evidence == "") {
				t.Errorf("%+v", result)
			}
			if row.kind == "" {
				mustAct(t, p, model.PowerStatus, b.Addr())
			}
		})
	}
}
