package scripts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// scriptTimeout bounds one run of a script.
const scriptTimeout = 40 * time.Second

// helpers are the programs that scripts may use beside the tools that are stubs.
var helpers = []string{"bash", "cat", "grep", "jq", "mktemp", "od", "paste", "rm", "sed", "sort", "tail"}

// tools are the programs that are stubs, unless a rig leaves one out.
var tools = []string{"drpcli", "ipmitool", "modprobe", "sleep"}

// reply is what a stub does when it is called: what it prints, and how it ends.
type reply struct {
	out  string
	exit int
}

// answer is how a stub answers calls that match a pattern of the shell: with one
// reply after the other, the last one again and again.
type answer struct {
	call    string
	replies []reply
}

// says answers with a text.
func says(call, out string) answer { return answer{call, []reply{{out: out}}} }

// fails answers with exit code 1 as often as told, then well.
func fails(call string, times int) answer {
	a := answer{call: call}
	for range times {
		a.replies = append(a.replies, reply{"", 1})
	}
	a.replies = append(a.replies, reply{})
	return a
}

// always fails each time.
func always(call string) answer { return answer{call, []reply{{"", 1}}} }

// rig runs scripts of the content with stubs in place of all tools.
type rig struct {
	t       *testing.T
	dir     string
	answers []answer
	vendor  string
}

// result is how a script ended.
type result struct {
	out, errs string
	exit      int
}

// tool looks up a program that the tests need.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("TEST_STRICT") == "1" {
		t.Fatal(err)
	}
	t.Skip(name + " is not here")
	return ""
}

// newRig makes a directory of stubs that answer as told; a later answer is looked
// at before an earlier one.
func newRig(t *testing.T, answers ...answer) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), answers: answers}
	for _, sub := range []string{"bin", "params", "profile", "replies", "users", "tmp"} {
		r.must(os.Mkdir(filepath.Join(r.dir, sub), 0o700))
	}
	for _, name := range helpers {
		r.must(os.Symlink(tool(t, name), r.path("bin", name)))
	}
	r.write(0o700, stub, "stub")
	r.install(tools...)
	r.set("ipmi/enabled", true)
	return r
}

// install adds stubs for programs.
func (r *rig) install(names ...string) {
	for _, name := range names {
		r.must(os.Symlink("../stub", r.path("bin", name)))
	}
}

// remove takes a program away.
func (r *rig) remove(name string) { r.must(os.Remove(r.path("bin", name))) }

// path joins names below the rig's directory.
func (r *rig) path(names ...string) string {
	return filepath.Join(append([]string{r.dir}, names...)...)
}

// must ends the test on an error.
func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// write writes a file of the rig.
func (r *rig) write(mode os.FileMode, text string, names ...string) {
	r.t.Helper()
	r.must(os.WriteFile(r.path(names...), []byte(text), mode))
}

// read returns a file of the rig, empty if there is none.
func (r *rig) read(names ...string) string {
	r.t.Helper()
	text, err := os.ReadFile(r.path(names...))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.t.Fatal(err)
	}
	return string(text)
}

// file is the name of the file that holds a param.
func file(param string) string { return strings.ReplaceAll(param, "/", "%") }

// set sets a param on the machine, as the stub of drpcli knows it.
func (r *rig) set(name string, value any) { r.setIn("params", name, value) }

// setIn sets a param on the machine or its profile.
func (r *rig) setIn(where, name string, value any) {
	r.t.Helper()
	raw, err := json.Marshal(value)
	r.must(err)
	r.write(0o600, string(raw), where, file(name))
}

// param returns a param of the machine, nil if it is not set.
func (r *rig) param(name string) any {
	r.t.Helper()
	raw := r.read("params", file(name))
	if raw == "" {
		return nil
	}
	var v any
	r.must(json.Unmarshal([]byte(raw), &v))
	return v
}

// run renders a task's script for params, which drpcli knows too, and runs it. No
// secret may be in what it prints or in an argument list.
func (r *rig) run(task string, set params) result {
	r.t.Helper()
	for name, v := range set {
		r.set(name, v)
	}
	res := r.runScript(render(r.t, task, withoutSecrets(r.t, set)))
	for _, name := range []string{"ipmi/password", "ipmi/configure/password", "ipmi/configure/service-password", "ipmi/configure/key"} {
		secret, _ := r.param(name).(string)
		if secret == "" {
			continue
		}
		for where, text := range map[string]string{"what is printed": res.out + res.errs, "an argument list": r.read("calls"), "an environment": r.read("environment")} {
			if strings.Contains(text, secret) {
				r.t.Errorf("%s is in %s", name, where)
			}
		}
	}
	left, err := os.ReadDir(r.path("tmp"))
	r.must(err)
	if len(left) > 0 {
		r.t.Errorf("the script leaves %v behind", left)
	}
	return res
}

// withoutSecrets drops what a template must not ask for.
func withoutSecrets(t *testing.T, set params) params {
	t.Helper()
	out := params{}
	for name, v := range set {
		if secure, _ := pack(t).Sections["params"][name]["Secure"].(bool); !secure {
			out[name] = v
		}
	}
	return out
}

// runScript runs a text under bash.
func (r *rig) runScript(script string) result {
	r.t.Helper()
	var table strings.Builder
	for i, a := range slices.Backward(r.answers) {
		for n, rep := range a.replies {
			r.write(0o600, rep.out, "replies", fmt.Sprintf("%d.%d", i, n))
			r.write(0o600, fmt.Sprintln(rep.exit), "replies", fmt.Sprintf("%d.%d.exit", i, n))
		}
		fmt.Fprintf(&table, "%s) reply %d ;;\n", pattern(a.call), i)
	}
	r.write(0o600, "case $line in\n"+table.String()+"esac\n", "answers")
	r.must(os.MkdirAll(r.path("dmi"), 0o700))
	r.write(0o600, r.vendor+"\n", "dmi", "sys_vendor")
	r.write(0o700, script, "script")
	ctx, cancel := context.WithTimeout(r.t.Context(), scriptTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.path("bin", "bash"), r.path("script"))
	cmd.WaitDelay = time.Second
	cmd.Env = []string{"PATH=" + r.path("bin"), "RIG=" + r.dir, "DMI_DIR=" + r.path("dmi"), "TMPDIR=" + r.path("tmp"), "RS_UUID=" + machineID}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// pattern quotes all of a call but its asterisks.
func pattern(call string) string {
	return `"` + strings.ReplaceAll(call, "*", `"*"`) + `"`
}

// calls lists how a tool was called, without its name.
func (r *rig) calls(tool string) []string {
	r.t.Helper()
	var out []string
	for line := range strings.Lines(r.read("calls")) {
		if rest, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), tool+" "); ok {
			out = append(out, rest)
		}
	}
	return out
}

// changes lists the calls of ipmitool that change the BMC.
func (r *rig) changes() []string {
	return slices.DeleteFunc(r.calls("ipmitool"), func(c string) bool {
		for _, read := range []string{"mc info", "channel info", "lan print", "lan6 print", "-c user list", "delloem lan get"} {
			if strings.HasPrefix(c, read) {
				return true
			}
		}
		return false
	})
}

// wantChanges compares how the BMC was changed.
func (r *rig) wantChanges(want ...string) {
	r.t.Helper()
	got := r.changes()
	for i, c := range got {
		if strings.HasPrefix(c, "exec ") {
			got[i] = "exec"
		}
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("ipmitool was called with\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// ok wants a script that ended well and said a line.
func (r *rig) ok(res result, line string) {
	r.t.Helper()
	if res.exit != 0 || !strings.Contains(res.out, line) {
		r.t.Errorf("exit %d, want 0 and %q\n%s%s", res.exit, line, res.out, res.errs)
	}
}

// failed wants a script that ended with exit code 1 and one line that tells why.
func (r *rig) failed(res result, line string) {
	r.t.Helper()
	last := res.errs[strings.LastIndexByte(strings.TrimSuffix(res.errs, "\n"), '\n')+1:]
	if res.exit != 1 || !strings.HasPrefix(last, "cannot ") || !strings.Contains(last, line) {
		r.t.Errorf("exit %d, want 1 and \"cannot ... %s\"\n%s%s", res.exit, line, res.out, res.errs)
	}
}

// runText runs a line of shell and returns what it prints.
func runText(t *testing.T, line string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), tool(t, "bash"), "-c", line)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// stub is every tool. It writes down how it is called, answers from the table,
// and otherwise keeps params as drpcli does and passwords as a BMC does.
const stub = `#!/usr/bin/env bash
tool=${0##*/} line=${0##*/} last=
for word; do line+=" $word" last=$word; done
printf '%s\n' "$line" >>"$RIG/calls"
export -p >>"$RIG/environment"

# show FILE prints a file.
show() {
	local text
	IFS= read -r -d '' text <"$1" || :
	printf '%s' "$text"
}

# reply N gives the next reply of answer N.
reply() {
	local n=0 exit
	if [[ -f $RIG/replies/$1.n ]]; then read -r n <"$RIG/replies/$1.n"; fi
	if [[ ! -f $RIG/replies/$1.$n ]]; then n=$((n - 1)); fi
	echo $((n + 1)) >"$RIG/replies/$1.n"
	show "$RIG/replies/$1.$n"
	read -r exit <"$RIG/replies/$1.$n.exit"
	exit "$exit"
}

# A file that a tool is given is kept, with its mode.
if [[ $tool != drpcli && -f $last ]]; then
	PATH=/usr/bin:/bin
	show "$last" >"$RIG/given.$tool"
	stat -c '%a' "$last" >>"$RIG/modes"
fi
. "$RIG/answers"
name=${5:-}
name=${name//\//%}
case $line in
"drpcli machines get "*)
	if [[ -f $RIG/params/$name ]]; then show "$RIG/params/$name"
	elif [[ -f $RIG/profile/$name && $6 == --aggregate ]]; then show "$RIG/profile/$name"
	else echo null; fi
	;;
"drpcli machines set "*" to -") show /dev/stdin >"$RIG/params/$name" ;;
"drpcli reservations exists "*) exit 1 ;;
"drpcli reservations create -") show /dev/stdin >"$RIG/reservation" ;;
"ipmitool exec "*)
	read -r -a words <"$last"
	slot=$((words[3] & 63)) size=$((words[3] >> 7))
	if [[ ${words[4]} == 0x02 ]]; then
		echo "$size ${words[*]:5}" >"$RIG/users/$slot"
	elif [[ ! -f $RIG/users/$slot || $(<"$RIG/users/$slot") != "$size ${words[*]:5}" ]]; then
		echo "Unable to send RAW command (channel=0x0 netfn=0x6 lun=0x0 cmd=0x47 rsp=0x80)" >&2
		exit 1
	fi
	;;
esac
`
