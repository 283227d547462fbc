package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"provision-plugins/endpoint"
	"provision-plugins/sim/bmc"
)

// guide is the page whose transcripts are tried.
var guide = filepath.Join("..", "docs", "cli.md")

// transcript is one command of a page, and what it printed.
type transcript struct{ command, printed string }

// consoles finds the blocks of commands in a page.
var consoles = regexp.MustCompile("(?ms)^```console\n(.*?)^```$")

// transcriptsIn reads a block: lines that begin with a dollar are commands, the
// others are what they print.
func transcriptsIn(block string) []transcript {
	var out []transcript
	for line := range strings.Lines(block) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			out = append(out, transcript{command: strings.TrimSpace(command)})
		} else if len(out) > 0 {
			out[len(out)-1].printed += line
		}
	}
	return out
}

// differing are what differs from run to run, and a word for each.
var differing = []struct {
	pattern *regexp.Regexp
	word    string
}{
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`oob1\.\S+`), "TOKEN"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?`), "TIME"},
	{regexp.MustCompile(`\d\d:\d\d:\d\d\.\d+`), "TIME"},
	{regexp.MustCompile(`127\.0\.0\.\d+[:,]\d+`), "ADDRESS"},
	{regexp.MustCompile(`\d+ bytes`), "BYTES"},
	{regexp.MustCompile(`\d+ (objects|parts of the audit trail)`), "N $1"},
	{regexp.MustCompile(`port-ipmitool:? +\d+`), "PORT"},
	{regexp.MustCompile(`\b\d+ params?\b`), "PARAMS"},
	{regexp.MustCompile(`(device-auth: cannot \w+ \S+): .*`), "$1: WHY"}, // the driver's own words
	{regexp.MustCompile(`(?m)^( +(?:ok|warning|failed|skipped) +\w+(?: \w+)*)  .*$`), "$1: WHY"},
	{regexp.MustCompile(`(?m)^ +-> .*$`), "-> WHY"},
	{regexp.MustCompile(`"tookMs":\d+`), "TOOK"},
	{regexp.MustCompile(`\b\d+[smhd] ago|\bnow\b`), "AGE"},
	{regexp.MustCompile(`\b\d+(\.\d+)?(ms|s|µs)\b`), "DURATION"},
	{regexp.MustCompile(`\S*/oob\.sock\b`), "SOCKET"},
	{regexp.MustCompile(`v0\.0\.0-dev\S*`), "VERSION"},
	{regexp.MustCompile(`user:\S+`), "user:NAME"},
	{regexp.MustCompile(`[0-9a-f]{64}`), "PIN"},
	{regexp.MustCompile(` {2,}`), "  "},
	{regexp.MustCompile(`(?m)^(ipmi  VERSION|admin|operator|superuser|viewer)  \d+`), "$1  COUNT"},
}

// issued finds tokens: only their beginning goes into the page.
var issued = regexp.MustCompile(`(oob1\.\S{20})\S+`)

// normal is a text without what differs from run to run.
func normal(text string) string {
	for _, d := range differing {
		text = d.pattern.ReplaceAllString(text, d.word)
	}
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// TestTranscripts runs every command of the page, in order, with the ipmi plugin
// and simulated BMCs, and compares what is printed. OOB_UPDATE=1 writes it into
// the page.
func TestTranscripts(t *testing.T) {
	tryPage(t, guide, startGuide)
}

// tryPage runs the commands of a page by what start returns.
func tryPage(t *testing.T, name string, start func(*testing.T) func(transcript) string) {
	t.Helper()
	guide, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	run := start(t)
	update := os.Getenv("OOB_UPDATE") != ""
	fresh := consoles.ReplaceAllFunc(page, func(block []byte) []byte {
		out := "```console\n"
		for _, tr := range transcriptsIn(string(consoles.FindSubmatch(block)[1])) {
			printed := run(tr)
			if !update && normal(printed) != normal(tr.printed) {
				t.Errorf("$ %s\nprints\n%swhere docs/%s has\n%s(OOB_UPDATE=1 go test ./oob -run Transcripts writes what is printed now)", tr.command, printed, filepath.Base(name), tr.printed)
			}
			out += "$ " + tr.command + "\n" + printed
		}
		return []byte(out + "```")
	})
	if update {
		if err := os.WriteFile(guide, fresh, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// simulated is the password of the simulated BMCs.
const simulated = "s1mulated"

// startGuide starts what the page is about, in a folder with the files that it
// mentions, and returns what runs a command there.
func startGuide(t *testing.T) func(transcript) string {
	t.Helper()
	dir := shortDir(t)
	plugins := filepath.Join(dir, "plugins")
	if err := os.Mkdir(plugins, 0o755); err != nil {
		t.Fatal(err)
	}
	buildPlugin(t, filepath.Join(plugins, "ipmi"))
	fleet, err := bmc.New(bmc.Options{Count: 8, Host: netip.MustParseAddr("127.0.0.1"), Password: simulated, CycleOff: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fleet.Close() })
	rack := "name,driver,address,port,username,password-file\n"
	for i := range fleet.Len() {
		at := fleet.BMC(i).Addr()
		rack += fmt.Sprintf("rack1n%02d,ipmi,%s,%d,admin,pw\n", i+1, at.Addr(), at.Port())
	}
	fleet.BMC(6).SetFaults(bmc.Faults{WrongPassword: true})
	for name, text := range map[string]string{
		"rack1.csv": rack, "pw": simulated + "\n", "ada.pw": "correct-horse-battery\n", "racks/._Name.meta": "racks", "racks/._Version.meta": "v1.0.0",
		"racks/params/rack-unit.yaml": "Name: rack/unit\nDescription: The lowest unit that the machine takes\nSchema:\n  type: integer\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e := startEndpoint(t, dir, plugins)
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(dir, "bin", "oob")); err != nil {
		t.Fatal(err)
	}
	pin, err := fingerprint(t.Context(), e.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	env := map[string]string{
		"PATH": filepath.Join(dir, "bin") + ":" + os.Getenv("PATH"), "HOME": dir, "TZ": "UTC", "GORACE": noExitSleep,
		"OOB_SOCKET": e.Socket(), "URL": "https://" + e.Addr(), "PIN": pin,
	}
	run := func(tr transcript) string {
		var out string
		if shown, ok := strings.CutSuffix(tr.printed, interrupted); ok {
			out = runUntil(t, env, tr.command, strings.Count(shown, "\n"))
		} else if plain := strings.Fields(tr.command); plain[0] == "oob" && !strings.ContainsAny(tr.command, `|;$'"`) {
			out = runPlain(t, env, plain[1:])
		} else {
			out = runShell(env, tr.command)
		}
		if strings.HasPrefix(tr.command, "oob plugin upload") {
			awaitReady(t, env)
		}
		return issued.ReplaceAllString(strings.ReplaceAll(out, dir, "/home/ada"), "$1...")
	}
	awaitReady(t, env)
	return run
}

// shortDir makes a directory whose path is as long as the one that the page has
// in its place, so that columns stay where they are.
func shortDir(t *testing.T) string {
	t.Helper()
	for range 100 {
		dir := fmt.Sprintf("/tmp/%04x", rand.N(1<<16))
		err := os.Mkdir(dir, 0o700)
		if err == nil {
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			return dir
		}
		if !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
	}
	t.Fatal("no name is free in /tmp")
	return ""
}

// interrupted ends what a command printed that went on until Ctrl-C.
const interrupted = "^C\n"

// runUntil runs a command of a shell until it has printed some lines, and
// interrupts it.
func runUntil(t *testing.T, env map[string]string, command string, lines int) string {
	cmd := exec.Command("sh", "-c", "exec "+command)
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out := &lineBuffer{grown: make(chan struct{})}
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return ""
	}
	timeout := time.After(bound)
	for missing := true; missing; {
		text, grown := out.look()
		if missing = strings.Count(text, "\n") < lines; missing {
			select {
			case <-grown:
			case <-timeout:
				t.Errorf("%s: does not print %d lines", command, lines)
				missing = false
			}
		}
	}
	if err := errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait()); err != nil {
		t.Errorf("%s, interrupted: %v", command, err)
	}
	text, _ := out.look()
	return text + interrupted
}

// runPlain runs oob in this process, which is faster.
func runPlain(t *testing.T, env map[string]string, args []string) string {
	var out bytes.Buffer
	a, _, _ := testApp("")
	a.stdout, a.stderr = &out, &out
	a.getenv = func(name string) string { return env[name] }
	run(t.Context(), a, args)
	return out.String()
}

// runShell runs a command of a shell.
func runShell(env map[string]string, command string) string {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.WaitDelay = time.Second // for what it has started and left
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, _ := cmd.CombinedOutput() // the page shows how it failed
	return string(out)
}

// startEndpoint starts an endpoint that ends with the test.
func startEndpoint(t *testing.T, dir, plugins string) *endpoint.Endpoint {
	t.Helper()
	e, err := endpoint.New(endpoint.Options{DataDir: filepath.Join(dir, "data"), PluginDir: plugins, Socket: filepath.Join(dir, "oob.sock"), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return e
}

// awaitReady waits until the plugin is ready.
func awaitReady(t *testing.T, env map[string]string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(bound)
	for {
		var p struct{ State string }
		text := runPlain(t, env, []string{"plugin", "list", "--json"})
		if json.Unmarshal([]byte(text), &p) == nil && p.State == "ready" {
			return
		}
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("the plugin is not ready: %s", text)
		}
	}
}

func TestTranscriptsIn(t *testing.T) {
	got := transcriptsIn("$ oob a\none\ntwo\n$ oob b\n$ oob c\nthree\n")
	want := []transcript{{"oob a", "one\ntwo\n"}, {"oob b", ""}, {"oob c", "three\n"}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q", got)
	}
	a := normal("m1  on   3s ago (verified: on at 1.2s) run 00000000-0000-0000-0000-000000000001 \n")
	if b := normal("m1 \t"); a == b || a != "m1  on  AGE (verified: on at DURATION) run UUID\n" {
		t.Errorf("normal is %q", a)
	}
}
