package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"provision-plugins/shared/inventory"
	"provision-plugins/shared/model"
)

// ran is one line that run printed.
type ran struct {
	Machine string
	Result  json.RawMessage
	Error   *struct{ Kind, Text string }
}

// lines parses what run printed, by machine.
func lines(t testing.TB, stdout string) map[string]ran {
	t.Helper()
	out := map[string]ran{}
	for line := range strings.Lines(stdout) {
		var r ran
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if _, twice := out[r.Machine]; twice {
			t.Errorf("%s answered twice", r.Machine)
		}
		out[r.Machine] = r
	}
	return out
}

// files writes files into a new directory.
func files(t testing.TB, texts map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const rackCSV = "name,driver,address,port,username,password-file,incrementer/step\n" +
	"m1,,10.0.0.1,623,root,pw,1\nm2,incrementer,10.0.0.2,,root,,2\nv1,vbox,uuid-1,,,,3\n"

func TestRun(t *testing.T) {
	dir := files(t, map[string]string{"rack.csv": rackCSV, "pw": "hunter22\n", "pin": "123456\n"})
	stdout, stderr, code := command(t, "", "run", "echo", "--targets", filepath.Join(dir, "rack.csv"),
		"--param", "oob/timeout=3", "--param-file", "incrementer/pin="+filepath.Join(dir, "pin"), "--param-env", "other=PLUGIN_TEST_PIN")
	got := lines(t, stdout)
	if code != 0 || len(got) != 2 {
		t.Fatalf("exit %d\n%s\n%s", code, stdout, stderr)
	}
	var a struct {
		Model           model.Machine
		Command, Plugin string
		Params          model.Params
	}
	if err := model.Unmarshal(got["m1"].Result, &a); err != nil {
		t.Fatal(err)
	}
	want := model.Params{
		"incrementer/address": "10.0.0.1", "incrementer/port": json.Number("623"), "incrementer/user": "root", "incrementer/password": "hunter22",
		"incrementer/step": json.Number("1"), "oob/timeout": json.Number("3"), "incrementer/pin": "123456", "other": json.Number("9876"),
	}
	for name, v := range want {
		if a.Model.Params[name] != v {
			t.Errorf("%s is %v, want %v", name, a.Model.Params[name], v)
		}
	}
	if a.Model.Name != "m1" || a.Command != "echo" || a.Plugin != "incrementer" || len(a.Params) != 3 || len(a.Model.Params) != len(want) {
		t.Errorf("%+v", a)
	}
	if !strings.HasPrefix(stderr, "incrementer run echo: 2 of 2 ok, 1 of other drivers left out in ") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("stderr %q", stderr)
	}
}

func TestRunProtectionIsTheMachinesOwn(t *testing.T) {
	stdout, _, _ := command(t, "name,oob/protected\nm1,true\n", "run", "echo", "--targets", "-", "--param", "oob/protected=false")
	var a model.Action
	if err := model.Unmarshal(lines(t, stdout)["m1"].Result, &a); err != nil {
		t.Fatal(err)
	}
	var m model.Machine
	if err := model.Remarshal(a.Model, &m); err != nil || m.Params["oob/protected"] != true {
		t.Errorf("%+v %v", m.Params, err)
	}
}

func TestRunOneMachineByItsParams(t *testing.T) {
	stdout, stderr, code := command(t, "4711\n", "run", "incrstatus", "--param", "incrementer/address=10.0.0.9", "--param-file", "incrementer/pin=-", "--json")
	if code != 0 || stdout != `{"machine":"10.0.0.9","result":"Running"}`+"\n" {
		t.Errorf("exit %d\n%s\n%s", code, stdout, stderr)
	}
}

func TestRunFailures(t *testing.T) {
	csv := "name,incrementer/pin\nm1,pin-4711\nm2,pin-0815\n"
	for command1, c := range map[string]struct {
		code       int
		kind, text string
	}{
		"fail":        {6, "rate-limited", "cannot fail: pin ****** is wrong"},
		"panic":       {11, "internal", "cannot finish panic: internal error: pin ****** at "},
		"panic-once":  {12, "unknown-outcome", "cannot finish panic-once: internal error: pin ****** at "},
		"unprintable": {11, "internal", "cannot encode the answer: json: unsupported type"},
	} {
		t.Run(command1, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, code := command(t, csv, "run", command1, "--targets", "-")
			got := lines(t, stdout)
			if code != c.code || len(got) != 2 {
				t.Fatalf("exit %d\n%s\n%s", code, stdout, stderr)
			}
			for name, line := range got {
				if line.Error == nil || line.Error.Kind != c.kind || !strings.Contains(line.Error.Text, c.text) || line.Result != nil {
					t.Errorf("%s: %+v", name, line.Error)
				}
			}
			if strings.Contains(stdout+stderr, "4711") || strings.Contains(stdout+stderr, "0815") {
				t.Errorf("a secret is shown:\n%s\n%s", stdout, stderr)
			}
			if !strings.Contains(stderr, "0 of 2 ok, 2 "+c.kind) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("stderr %q", stderr)
			}
		})
	}
}

func TestRunBadInput(t *testing.T) {
	dir := files(t, map[string]string{"rack.csv": rackCSV, "bad.csv": "name,port\nm1,x\n", "none.csv": "name,driver\nv1,vbox\n", "head.csv": "name\n"})
	rack := filepath.Join(dir, "head.csv")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no action":         {nil, "name one action"},
		"two actions":       {[]string{"a", "b"}, "name one action"},
		"unknown action":    {[]string{"fly", "--targets", rack}, `cannot run "fly": incrementer has no such action; it has crash, echo,`},
		"not on machines":   {[]string{"resize", "--targets", rack}, `cannot run "resize": incrementer has no such action`},
		"unknown flag":      {[]string{"echo", "--fly"}, "unknown flag: --fly"},
		"bad flag":          {[]string{"echo", "--concurrency", "x"}, "invalid argument"},
		"deadline":          {[]string{"echo", "--deadline", "-1s", "--targets", rack}, "--deadline must be from 0 (none) to 2h0m0s"},
		"long deadline":     {[]string{"echo", "--deadline", "3h", "--targets", rack}, "--deadline must be from 0 (none) to 2h0m0s"},
		"no deadline":       {[]string{"echo", "--deadline", "2", "--targets", rack}, "invalid argument"},
		"concurrency":       {[]string{"echo", "--concurrency", "0", "--targets", rack}, "--concurrency must be from 1 to 10000"},
		"no targets":        {[]string{"echo"}, "there are no targets; give --targets FILE"},
		"empty targets":     {[]string{"echo", "--targets", rack}, "there are no targets: no machine in"},
		"foreign targets":   {[]string{"echo", "--targets", filepath.Join(dir, "none.csv")}, "has the driver incrementer"},
		"missing file":      {[]string{"echo", "--targets", filepath.Join(dir, "nope")}, "cannot read the targets: open"},
		"directory":         {[]string{"echo", "--targets", dir}, "is a directory"},
		"bad CSV":           {[]string{"echo", "--targets", filepath.Join(dir, "bad.csv")}, "line 2: column port: a port is a number"},
		"missing password":  {[]string{"echo", "--targets", filepath.Join(dir, "rack.csv")}, "line 2: column password-file: cannot read the secret: stat"},
		"secret on argv":    {[]string{"echo", "--param", "ipmi/password=hunter22"}, "--param ipmi/password: this is a secret"},
		"Secure on argv":    {[]string{"echo", "--param", "incrementer/pin=hunter22"}, "--param incrementer/pin: this is a secret"},
		"param without =":   {[]string{"echo", "--param", "hunter22"}, "--param needs NAME=VALUE"},
		"param twice":       {[]string{"echo", "--param", "a=1", "--param-env", "a=HOME"}, "a: this param is given twice"},
		"no environment":    {[]string{"echo", "--param-env", "a=PLUGIN_TEST_UNSET"}, `the environment variable "PLUGIN_TEST_UNSET" is not set`},
		"no param file":     {[]string{"echo", "--param-file", "a=/nonexistent"}, "--param-file a: cannot read the secret"},
		"stdin twice":       {[]string{"echo", "--targets", "-", "--param-file", "a=-"}, "standard input is taken already"},
		"address not text":  {[]string{"echo", "--param", "incrementer/address=1"}, "param incrementer/address must be a string"},
		"config is refused": {[]string{"echo", "--param", "refuse=no"}, "cannot configure incrementer: no"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, code := command(t, "", append([]string{"run"}, c.args...)...)
			want := 2
			if name == "config is refused" {
				want = 11
			}
			if code != want || stdout != "" || !strings.HasPrefix(stderr, "Error: ") || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit %d\nstdout %s\nstderr %s", code, stdout, stderr)
			}
			if strings.Contains(stderr, "hunter22") {
				t.Errorf("a secret is shown: %s", stderr)
			}
		})
	}
}

func TestRunBadEndpoint(t *testing.T) {
	t.Setenv(EnvEndpoint, "ftp://x")
	p := newProgram("x", "", twinDefinition(), newTwin())
	err := p.configureAlone(t.Context(), slog.New(slog.DiscardHandler), nil)
	var exit *exitError
	if !errors.As(err, &exit) || exit.code != 2 || !strings.Contains(err.Error(), "cannot use RS_ENDPOINT") {
		t.Errorf("error %v", err)
	}
}

func TestPluginWithoutActionsRunsNone(t *testing.T) {
	p := newProgram("plain", "", &model.PluginProvider{}, plain{})
	if _, err := p.actorFor("echo"); err == nil || !strings.Contains(err.Error(), "plain has no actions on machines") {
		t.Errorf("error %v", err)
	}
}

func TestPluginsOwnColumnsMayBeBroken(t *testing.T) {
	def := twinDefinition()
	def.Meta[model.MetaColumns] = "{bad"
	p := newProgram("x", "", def, newTwin())
	if _, err := p.columns(""); err == nil || !strings.Contains(err.Error(), model.MetaColumns) {
		t.Errorf("error %v", err)
	}
	if _, err := p.singleTarget(model.Params{"a": 1}); err == nil {
		t.Error("no error")
	}
}

// counting counts how many actions run at a time.
type counting struct {
	plain
	running, above, total atomic.Int64
	once                  sync.Once
	reached               chan struct{} // closed when four run
	release               chan struct{}
}

// Action waits until it is released.
func (c *counting) Action(ctx context.Context, _ *model.Action) (any, error) {
	c.total.Add(1)
	switch n := c.running.Add(1); {
	case n == 4:
		c.once.Do(func() { close(c.reached) })
	case n > 4:
		c.above.Add(1)
	}
	<-c.release
	c.running.Add(-1)
	return nil, ctx.Err()
}

// someRows are n targets.
func someRows(n int) []inventory.Row {
	rows := make([]inventory.Row, n)
	for i := range rows {
		rows[i] = inventory.Row{Name: "m", Params: model.Params{}}
	}
	return rows
}

func TestRunConcurrencyIsBounded(t *testing.T) {
	c := &counting{reached: make(chan struct{}), release: make(chan struct{})}
	go func() {
		<-c.reached
		close(c.release)
	}()
	r := &runner{program: newProgram("x", "", twinDefinition(), c), actor: c, command: "echo", concurrency: 4}
	var out strings.Builder
	sum := r.run(t.Context(), t.Context(), &out, someRows(100))
	if sum.ok != 100 || c.above.Load() != 0 || sum.exitCode() != 0 || strings.Count(out.String(), `{"machine":"m","result":null}`) != 100 {
		t.Errorf("%d ok, %d were too many at a time\n%s", sum.ok, c.above.Load(), out.String())
	}
}

func TestRunInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := &counting{reached: make(chan struct{}), release: make(chan struct{})}
	go func() {
		<-c.reached
		cancel()
		close(c.release)
	}()
	r := &runner{program: newProgram("x", "", twinDefinition(), c), actor: c, command: "echo", concurrency: 4}
	var out strings.Builder
	sum := r.run(ctx, ctx, &out, someRows(100))
	var text strings.Builder
	sum.print(&text, "x run echo")
	if n := int(c.total.Load()); sum.untried() != 100-n || sum.untried() < 90 || sum.exitCode() != 10 || !strings.Contains(text.String(), "not tried: interrupted") {
		t.Errorf("%d tried, %d untried, exit %d, %s", n, sum.untried(), sum.exitCode(), text.String())
	}
}

// closed is an output that is no longer there.
type closed struct{}

// Write fails.
func (closed) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestRunOutputLost(t *testing.T) {
	impl := newTwin()
	r := &runner{program: newProgram("x", "", twinDefinition(), impl), actor: impl, command: "incrstatus", concurrency: 2}
	sum := r.run(t.Context(), t.Context(), closed{}, someRows(10_000))
	var text strings.Builder
	sum.print(&text, "x")
	if sum.exitCode() != 11 || !strings.Contains(text.String(), "output lost: broken pipe") || strings.Contains(text.String(), "interrupted") {
		t.Errorf("exit %d, %s", sum.exitCode(), text.String())
	}
	if sum.untried() == 0 {
		t.Error("all machines were tried although nobody reads the answers")
	}
}

// A reader that goes away, as in run | head, must not kill the process: it may
// owe a machine something.
func TestRunOutlivesItsReader(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	exe := self(t, "plugin")
	cmd := exec.Command(exe.Path, "run", "incrstatus", "--targets", "-")
	cmd.Env, cmd.Stdin, cmd.Stdout = exe.Env, strings.NewReader("name\nm1\nm2\n"), w
	var stderr strings.Builder
	cmd.Stderr = &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) {
		t.Fatalf("it ended with %v", err)
	}
	if exit.ExitCode() != 11 || !strings.Contains(stderr.String(), "output lost: write /dev/stdout: broken pipe") {
		t.Errorf("it ended by %v\n%s", exit, stderr.String())
	}
}

// An interrupt begins nothing more; what was begun goes on and its outcome is
// told. A read just ends.
func TestRunInterruptTellsOutcomes(t *testing.T) {
	for name, c := range map[string]struct{ action, want string }{
		"change": {"wait", `{"machine":"m1","result":"waited"}`},
		"read":   {"look", `"error":{"kind":"timeout"`},
	} {
		t.Run(name, func(t *testing.T) {
			option, said := withWitness(t)
			twinned := &rig{twin: newTwin()}
			option(twinned)
			def := twinDefinition()
			def.Meta[model.MetaClasses] = `{"look":"read"}`
			def.AvailableActions = append(def.AvailableActions, model.AvailableAction{Model: "machines", Command: "look"})
			cmd := newProgram("incrementer", "", def, twinned.twin).command("Counts")
			var stdout, stderr strings.Builder
			cmd.SetArgs([]string{"run", c.action, "--targets", "-"})
			cmd.SetIn(strings.NewReader("name\nm1\n"))
			cmd.SetOut(&stdout)
			cmd.SetErr(&stderr)
			ctx, interrupt := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_ = cmd.ExecuteContext(ctx) // what it prints tells how it ended
			}()
			if line, _ := said(); line != "action "+c.action {
				t.Fatalf("the plugin said %q", line)
			}
			interrupt()
			select {
			case <-ended:
			case <-time.After(20 * time.Second):
				t.Fatal("it did not end")
			}
			if !strings.Contains(stdout.String(), c.want) || !strings.Contains(stderr.String(), "interrupted: waiting for what was begun") {
				t.Errorf("stdout %s\nstderr %s", stdout.String(), stderr.String())
			}
		})
	}
}

func TestRunStopsThePluginAlways(t *testing.T) {
	option, said := withWitness(t)
	impl := &rig{twin: newTwin()}
	option(impl)
	impl.twin.onStop = func(context.Context) error { return errors.New("sessions left open") }
	var text strings.Builder
	newProgram("x", "", twinDefinition(), impl.twin).stopAlone(t.Context(), &text)
	if line, _ := said(); line != "stop" || !strings.Contains(text.String(), "x: cannot finish in order: sessions left open") {
		t.Errorf("said %q, %s", line, text.String())
	}
}
