package endpoint

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// approve writes the list of allowed programs, in one step.
func (r *rig) approve(binaries ...string) {
	r.t.Helper()
	var list strings.Builder
	for _, binary := range binaries {
		fmt.Fprintf(&list, "%x  a plugin\n", sha256.Sum256([]byte(binary)))
	}
	next := r.opts.PluginSums + ".new"
	if err := os.WriteFile(next, []byte(list.String()), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(next, r.opts.PluginSums); err != nil {
		r.t.Fatal(err)
	}
}

// shown is the state and the error of a provider in its listing.
func (r *rig) shown(name string) (state, fault string) {
	var p model.PluginProvider
	if err := r.c.Get(r.t.Context(), "plugin_providers/"+name, &p); err != nil {
		return "", err.Error()
	}
	return p.Meta[metaState], p.Meta[metaError]
}

// Only programs whose sums are on the list are run, not even to be asked what they
// are: those that lie there, those that are uploaded, and none any more that is
// taken off it.
func TestOnlyAllowedProgramsAreRun(t *testing.T) {
	t.Parallel()
	r := newRig(t, "v2")
	first, second, other := r.binaryOf("toy"), r.binaryOf("v2"), r.binaryOf("listener")
	marker := filepath.Join(r.dir, "ran")
	const script = "#!/bin/sh\necho >>%s\n"
	bad := filepath.Join(r.opts.PluginDir, "bad")
	if err := os.WriteFile(bad, fmt.Appendf(nil, script, marker), 0o755); err != nil {
		t.Fatal(err)
	}
	r.opts.PluginSums = filepath.Join(filepath.Dir(r.dir), "sums")
	r.approve(first)
	r.start()
	refused := func(name string) func() bool {
		return func() bool {
			state, fault := r.shown(name)
			return state == stateRefused && strings.Contains(fault, r.opts.PluginSums)
		}
	}
	eventually(t, "what is not on the list is refused", refused("v2"))
	eventually(t, "what is no plugin is refused too", refused("bad"))
	if status, text := r.uploadHere("toy", second); status != http.StatusForbidden || !strings.Contains(text, fmt.Sprintf("%x", sha256.Sum256([]byte(second)))) {
		t.Errorf("uploaded: %d %s", status, text)
	}
	if status, text := r.uploadHere("bad", fmt.Sprintf(script, marker)); status != http.StatusForbidden {
		t.Errorf("uploaded: %d %s", status, text)
	}
	if err := os.Remove(filepath.Join(r.opts.PluginDir, "v2")); err != nil {
		t.Fatal(err)
	}
	if status, text := r.uploadHere("toy", first); status != http.StatusCreated {
		t.Fatalf("uploaded: %d %s", status, text)
	}
	r.ready("toy")
	r.approve(other)
	eventually(t, "what was taken off is retired", refused("toy"))
	eventually(t, "its plugin says so", func() bool { return strings.Contains(r.pluginErrors("toy"), "not loaded") })
	r.approve(other, first)
	r.ready("toy")
	if err := os.Remove(r.opts.PluginSums); err != nil {
		t.Fatal(err)
	}
	eventually(t, "without the list nothing is run", refused("toy"))
	if _, err := os.Stat(marker); err == nil {
		t.Error("a program that is not on the list was run")
	}
	r.onlyFiles("bad", "toy")
}

// uploadHere posts a binary on the unix socket.
func (r *rig) uploadHere(name, binary string) (int, string) {
	r.t.Helper()
	resp, raw := r.askLocal("POST", "/plugin_providers/"+name, binary)
	return resp.StatusCode, string(raw)
}

// From elsewhere binaries are taken only where the endpoint was told to; an admin's
// token alone does not let its holder run programs on this machine.
func TestUploadsFromElsewhereAreOff(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.opts.AllowUpload = false
	r.start()
	status, text := r.upload("toy", r.binaryOf("toy"), r.e.token)
	var e model.Error
	if err := json.Unmarshal([]byte(text), &e); err != nil || status != http.StatusForbidden || !strings.Contains(e.Text(), "--allow-plugin-upload") {
		t.Errorf("%d %s, %v", status, text, err)
	}
	r.onlyFiles()
	if status, text := r.uploadHere("toy", r.binaryOf("toy")); status != http.StatusCreated {
		t.Errorf("on the socket: %d %s", status, text)
	}
}

// What a package manager has unpacked and not yet put in place is no plugin.
func TestFilesOnTheirWay(t *testing.T) {
	for name, want := range map[string]bool{
		"ipmi": false, "ipmi.2": false, "dpkg-new": false, "new.ipmi": false,
		".ipmi": true, ".upload-ipmi-1": true, "ipmi.dpkg-new": true, "ipmi.dpkg-tmp": true, "ipmi.dpkg-old": true, "ipmi;65a1f0c2": true,
	} {
		if got := passing(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
