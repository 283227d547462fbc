package endpoint

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"provision-plugins/endpoint/auth"
	"provision-plugins/shared/model"
)

// A hundred clients follow one log: each has all of it, and each ends with the run.
func TestAHundredFollowOneLog(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("m1", nil)
	reply := r.holdCycle("m1")
	l := r.e.api.actions.tails.get(reply.Run)
	eventually(t, "its first line", func() bool { return r.e.api.actions.tails.text(reply.Run) != "" })
	var followers sync.WaitGroup
	texts := make([]string, 100)
	for i := range texts {
		live := r.followLog(reply.Run) // its header is there: it has been let in
		followers.Go(func() {
			raw, err := io.ReadAll(live)
			if err != nil {
				t.Error(err)
			}
			texts[i] = string(raw)
		})
	}
	for i := range 20 {
		l.add(fmt.Sprintf("line %d\n", i))
	}
	r.put("go", "")
	followers.Wait()
	for i, text := range texts {
		if text != texts[0] || !strings.Contains(text, "toy executes powercycle\n") || strings.Count(text, "line ") != 20 {
			t.Fatalf("follower %d has %q, the first %q", i, text, texts[0])
		}
	}
}

// A binary that is replaced during an action lets it come to its end; what is asked
// for meanwhile is done by the new one.
func TestAPluginIsReplacedDuringAnAction(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("m1", nil)
	r.machine("m2", nil)
	pid := pidOf(t, r, "toy")
	r.put("hold", "")
	first, err := r.act("m1", "powercycle", model.Params{"oob/wait": false})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "at work", func() bool { return len(r.executed()) == 1 })
	if status, text := r.upload("toy", r.binaryOf("v2"), r.e.token); status != http.StatusCreated {
		t.Fatalf("%d %s", status, text)
	}
	eventually(t, "it is being replaced", func() bool { return strings.Contains(r.pluginErrors("toy"), "being replaced") })
	second, err := r.act("m2", "poweroff", model.Params{"oob/wait": false})
	if err != nil {
		t.Fatal(err)
	}
	var run model.Run
	if err := r.c.Get(t.Context(), "runs/"+second.Run, &run); err != nil || run.State != model.RunQueued {
		t.Errorf("during the change: %+v, %v", run, err)
	}
	r.put("go", "")
	for _, id := range []string{first.Run, second.Run} {
		eventually(t, "the end of a run", func() bool {
			return r.c.Get(t.Context(), "runs/"+id, &run) == nil && run.State.Terminal()
		})
		if run.State != model.RunDone {
			t.Errorf("run %+v, %v", run, run.Error)
		}
	}
	r.replaced("toy", pid)
	if got := fmt.Sprint(r.executed()); got != "[powercycle poweroff]" {
		t.Errorf("executed %s", got)
	}
}

// An upload takes the place of a link, not of what it points to, and of a file that
// was no program; a directory it leaves alone.
func TestAnUploadOverSomethingElse(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	at := func(name string) string { return filepath.Join(r.opts.PluginDir, name) }
	target := filepath.Join(filepath.Dir(r.opts.PluginDir), "elsewhere")
	for path, text := range map[string]string{target: "not to be touched", at("other"): "notes"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(target, at("toy")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(at("noop"), "in"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.start()
	for _, role := range []string{"toy", "other"} {
		if status, text := r.upload(role, r.binaryOf(role), r.e.token); status != http.StatusCreated {
			t.Errorf("%s: %d %s", role, status, text)
		}
		if info, err := os.Lstat(at(role)); err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != 0o755 {
			t.Errorf("%s is %v, %v", role, info, err)
		}
	}
	if raw, err := os.ReadFile(target); err != nil || string(raw) != "not to be touched" {
		t.Errorf("the link's target: %q, %v", raw, err)
	}
	status, text := r.upload("noop", r.binaryOf("noop"), r.e.token)
	if status != http.StatusConflict || !strings.Contains(text, "a directory") || strings.Contains(text, r.opts.PluginDir) {
		t.Errorf("over a directory: %d %s", status, text)
	}
	r.onlyFiles("noop", "other", "toy")
}

// However a path is written, who may reach one plugin's API reaches no other's.
func TestTrickyPathsOfPluginAPIs(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	toys := r.e.sup.tokens.issue("toys", auth.Grant{{{Scope: "plugins", Action: actConsole, Specific: "toy"}}})
	others := r.e.sup.tokens.issue("others", auth.Grant{{
		{Scope: "plugins", Action: actConsole, Specific: "other"}, {Scope: "plugins", Action: actConsole, Specific: "toy/x"},
	}})
	for _, c := range []struct {
		token, path string
		status      int
	}{
		{toys, "/plugin-apis/toy/x", 200},
		{toys, "/plugin-apis/t%6Fy/x", 200},
		{toys, "/plugin-apis/toy%2Fx/y", 403},
		{toys, "/plugin-apis/toy/../other/x", 200}, // it is the toy's path
		{others, "/plugin-apis/other/../toy/x", 404},
		{others, "/plugin-apis/other/%2E%2E/toy/x", 404},
		{others, "/plugin-apis//toy/x", 403},
		{others, "/plugin-apis/./toy/x", 403},
		{others, "/plugin-apis/toy%2Fx/y", 404},
		{others, "/plugin-apis/toy%00/y", 403},
		{others, "//plugin-apis/toy/x", 404},
		{others, "/files/../plugin-apis/toy/x", 404},
		{others, "/api/v3/../../plugin-apis/toy/x", 404},
	} {
		if resp, raw := r.ask("GET", c.path, c.token, ""); resp.StatusCode != c.status {
			t.Errorf("%s: %d %.200s, want %d", c.path, resp.StatusCode, raw, c.status)
		}
	}
}

// Cancels race with the ends of what they cancel: what the cancel was answered is
// how the run ended.
func TestCancelsRaceWithEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t, "scanner")
	r.start()
	r.ready("toy")
	const n = 24
	for i := range n {
		r.machine(fmt.Sprint("m", i), nil)
	}
	r.put("hold", "")
	ids := make([]string, n)
	for i := range ids {
		reply, err := r.act(fmt.Sprint("m", i), "scan", model.Params{"oob/wait": false})
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = reply.Run
	}
	eventually(t, "all at work", func() bool { return len(r.executed()) == n })
	statuses := make([]int, n)
	var cancels sync.WaitGroup
	for i, id := range ids {
		if i == n/2 {
			r.put("go", "")
		}
		cancels.Go(func() {
			resp, _ := r.ask("DELETE", apiRoot+"/runs/"+id, r.e.token, "")
			statuses[i] = resp.StatusCode
		})
	}
	cancels.Wait()
	for i, id := range ids {
		var run model.Run
		eventually(t, "its end", func() bool { return r.c.Get(t.Context(), "runs/"+id, &run) == nil && run.State.Terminal() })
		want := map[int]model.RunState{http.StatusOK: model.RunFailed, http.StatusConflict: model.RunDone}[statuses[i]]
		if run.State != want {
			t.Errorf("cancel answered %d, run %s, %v", statuses[i], run.State, run.Error)
		}
	}
	if got := len(r.executed()); got != n {
		t.Errorf("%d executed", got)
	}
}

// Who hangs up before the end finds the run when asking again, also when a second
// time would change nothing.
func TestWhoHangsUpFindsTheRun(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", nil)
	r.put("hold", "")
	ctx, hangUp := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", r.e.Socket())
		}}}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://unix"+apiRoot+"/machines/"+uuid+"/actions/poweron", strings.NewReader("{}"))
		if err != nil {
			t.Error(err)
			return
		}
		resp, err := c.Do(req)
		if err == nil {
			t.Error("answered before its end", resp.Body.Close())
		}
	}()
	eventually(t, "at work", func() bool { return len(r.executed()) == 1 })
	first := r.newestRun()
	hangUp()
	<-gone
	r.put("go", "")
	eventually(t, "its end", func() bool { return r.newestRun().State == model.RunDone })
	again, err := r.act("m1", "poweron", nil)
	if err != nil || again.Run != first.ID || len(r.executed()) != 1 {
		t.Errorf("the repeat got %+v, %v, want run %s; executed %v", again, err, first.ID, r.executed())
	}
}

// holders lists who has a token of a plugin now.
func (r *rig) holders() string {
	r.e.sup.tokens.mu.Lock()
	defer r.e.sup.tokens.mu.Unlock()
	return fmt.Sprint(slices.Sorted(maps.Keys(r.e.sup.tokens.plugins)))
}

// A token is good for as long as its process runs, and no longer: neither that of a
// plugin that has crashed too often, nor that of one that was deleted, nor what a
// binary was given to tell what it is.
func TestTokensEndWithTheirProcesses(t *testing.T) {
	t.Parallel()
	r := start(t, "toy", "crashy")
	eventually(t, "circuit open", func() bool { return strings.Contains(r.pluginErrors("crashy"), "5 crashes in") })
	eventually(t, "the token of the one that runs alone", func() bool { return r.holders() == "[toy]" })
	if err := r.c.Delete(t.Context(), "plugins/toy", nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no token", func() bool { return r.holders() == "[]" })
}
