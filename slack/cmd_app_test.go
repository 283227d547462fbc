package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	simslack "provision-plugins/sim/slack"
)

// said runs a command and returns what it prints.
func said(t *testing.T, cmd *cobra.Command, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	cmd.SilenceErrors = true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestManifestCommand(t *testing.T) {
	text, err := said(t, newManifestCommand(), "--name", "lab", "--command", "/lab")
	if err != nil || !strings.Contains(text, `command: "/lab"`) || !strings.Contains(text, `name: "lab"`) {
		t.Errorf("%v\n%s", err, text)
	}
	text, err = said(t, newManifestCommand(), "--json")
	if err != nil || !strings.HasPrefix(text, "{") || !strings.Contains(text, `"/metal"`) {
		t.Errorf("%v\n%s", err, text)
	}
}

// checked runs check against a workspace.
func checked(t *testing.T, o simslack.Options, args ...string) (string, error) {
	t.Helper()
	o.Token = token
	sim, err := simslack.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	client := &http.Client{Transport: &http.Transport{}}
	text, err := said(t, newCheckCommand(client), append(args, "--api-url", sim.URL())...)
	if strings.Contains(text, token) || err != nil && strings.Contains(err.Error(), token) {
		t.Errorf("it shows the token:\n%s%v", text, err)
	}
	return text, err
}

func TestCheckCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := checked(t, simslack.Options{Scopes: []string{"chat:write"}, Channels: []string{"C1"}}, "--bot-token-file", file)
	if err != nil || !strings.Contains(text, "ok     bot token") || !strings.Contains(text, "lacks  scope files:write") {
		t.Errorf("%v\n%s", err, text)
	}
	t.Setenv(envBotToken, token)
	text, err = checked(t, simslack.Options{Scopes: []string{"channels:read"}, Channels: []string{"C1"}}, "--channel", "C9")
	if err == nil || !strings.Contains(err.Error(), "2 of ") || !strings.Contains(text, "FAILS  scope chat:write") || !strings.Contains(text, "FAILS  channel C9") {
		t.Errorf("%v\n%s", err, text)
	}
	t.Setenv(envBotToken, "")
	for want, args := range map[string][]string{
		"give the bot token":          nil,
		"cannot read the token":       {"--bot-token-file", filepath.Join(t.TempDir(), "none")},
		"cannot read the token: open": {"--bot-token-file", file, "--app-token-file", file + "2"},
		"unknown command":             {"xoxb-in-argv"},
	} {
		if _, err := checked(t, simslack.Options{}, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
	if _, err := said(t, newCheckCommand(http.DefaultClient), "--bot-token-file", file, "--api-url", "http://slack.example"); err == nil || !strings.Contains(err.Error(), "must be https") {
		t.Errorf("the token goes anywhere: %v", err)
	}
}
