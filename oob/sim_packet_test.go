package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// TestSimPacket starts a simulated Packet API, asks it, and starts it again on the
// state it kept.
func TestSimPacket(t *testing.T) {
	dir := t.TempDir()
	key, state := filepath.Join(dir, "key"), filepath.Join(dir, "state")
	if err := os.WriteFile(key, []byte("k-4711\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var before []string
	for _, asJSON := range []bool{false, true} {
		a, _, _ := testApp("")
		out, in := io.Pipe()
		a.stdout = in
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan int, 1)
		go func() {
			args := []string{"sim", "packet", "--api-key-file", key, "--state-file", state, "--devices", "2", "--project", "lab"}
			if asJSON {
				args = append(args, "--json")
			}
			done <- run(ctx, a, args)
			in.Close()
		}()
		lines := bufio.NewScanner(out)
		var url string
		var ids []string
		if asJSON {
			lines.Scan()
			var line struct {
				URL      string
				Projects []struct{ ID, Name string }
				Devices  []string
			}
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil || len(line.Projects) != 1 || line.Projects[0].Name != "lab" {
				t.Fatalf("printed %s: %v", lines.Text(), err)
			}
			url, ids = line.URL, line.Devices
		} else {
			for range 4 {
				lines.Scan()
				if found := regexp.MustCompile(`^device (\S+) \S+$`).FindStringSubmatch(lines.Text()); found != nil {
					ids = append(ids, found[1])
				}
				if strings.HasPrefix(lines.Text(), "http") {
					url = lines.Text()
				}
			}
		}
		if len(ids) != 2 || before != nil && strings.Join(ids, " ") != strings.Join(before, " ") {
			t.Fatalf("devices %v, before %v", ids, before)
		}
		before = ids
		for token, want := range map[string]int{"k-4711": 200, "other": 401} {
			req, err := http.NewRequestWithContext(t.Context(), "PUT", url+"devices/"+ids[0], strings.NewReader(`{"hostname":"kept"}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Auth-Token", token)
			resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("key %s: %s", token, resp.Status)
			}
		}
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("ended with %d", code)
		}
	}
}

// TestSimPacketRefusesFlags gives it what makes no sense.
func TestSimPacketRefusesFlags(t *testing.T) {
	for _, args := range [][]string{{"--devices", "-1"}, {"--step", "-1s"}, {"--rate-limit", "-1"}, {"--api-key-file", "/does/not/exist"}, {"--listen", "nowhere"}} {
		a, _, stderr := testApp("")
		if code := run(t.Context(), a, append([]string{"sim", "packet"}, args...)); code != model.Invalid.Info().Exit || stderr.Len() == 0 {
			t.Errorf("%v: %d, %s", args, code, stderr)
		}
	}
}
