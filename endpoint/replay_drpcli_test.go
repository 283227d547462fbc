package endpoint

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// envDrpcli names a reference command line, to be run beside the recording of
// what it sends.
const envDrpcli = "OOB_DRPCLI"

// watchTime is how long a command line that never ends by itself is watched.
const watchTime = 2 * time.Second

// drpcliExits are the command lines that end otherwise than they did when they
// were recorded, against a server that took everything, with the reason.
var drpcliExits = map[string]string{
	"drpcli contents update y":                           "it is refused before it is sent",
	"drpcli prefs set defaultWorkflow x":                 "there is no such workflow",
	"drpcli plugin_providers upload /run/comm/blob --re": "the blob is of another provider",
}

// replayDrpcli runs every recorded command line through a reference client.
func (r *replay) replayDrpcli(path string) {
	home := r.tt.TempDir()
	password, err := os.ReadFile(filepath.Join(r.opts.DataDir, passwordFile))
	if err != nil {
		r.tt.Fatal(err)
	}
	env := []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "RS_ENDPOINT=https://" + r.e.Addr(), "RS_KEY=rocketskates:" + strings.TrimSpace(string(password))}
	blob, err := os.ReadFile(r.install(".staged", "drp"))
	if err != nil {
		r.tt.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(home, "blob"), blob, 0o600),
		os.WriteFile(filepath.Join(home, "c.yaml"), []byte("meta: {Name: \"true\", Version: v1.0.0}\nsections: {}\n"), 0o600)); err != nil {
		r.tt.Fatal(err)
	}
	for _, one := range readRecorded(r.tt) {
		r.setup(one.command)
		line, want, _ := strings.Cut(one.command, " => exit ")
		out, err := r.drpcli(env, path, strings.Fields(strings.ReplaceAll(line, "/run/comm", home))[1:])
		known := false
		for prefix := range drpcliExits {
			known = known || strings.HasPrefix(line, prefix)
		}
		if failed := err != nil; failed && want == "0" && !known {
			r.tt.Errorf("%s: %v: %.400s", line, err, out)
		}
	}
}

// drpcli runs one command line; one that is still running when its time is over
// has not failed.
func (r *replay) drpcli(env []string, path string, args []string) ([]byte, error) {
	bound := patience
	if strings.HasSuffix(args[len(args)-1], "watch") || strings.Contains(strings.Join(args, " "), "events watch") {
		bound = watchTime
	}
	ctx, cancel := context.WithTimeout(r.tt.Context(), bound)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.Stdin = env, strings.NewReader(`{"Name":"m4"}`)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil && bound == watchTime {
		err = nil
	}
	return out, err
}

// withDrpcli runs the recording through the reference client where there is one.
func (r *replay) withDrpcli() {
	path := os.Getenv(envDrpcli)
	if path == "" {
		return
	}
	r.tt.Run("drpcli", func(t *testing.T) { r.replayDrpcli(path) })
}
