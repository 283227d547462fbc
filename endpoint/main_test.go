package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
)

// The test binary is its own plugin: a small script in the plugin directory runs
// it again with these variables.
const (
	envRole = "ENDPOINT_TEST_ROLE" // which plugin to be
	envDir  = "ENDPOINT_TEST_DIR"  // where it writes what it did and reads what to do
)

func TestMain(m *testing.M) {
	if role := os.Getenv(envRole); role != "" {
		os.Exit(bePlugin(role))
	}
	goleak.VerifyTestMain(m)
}

// toy is a plugin on one imaginary device. Everything it executes is a line of a
// file, so that tests see what happened and not what was said.
type toy struct {
	plugin.Base
	role, dir string
	host      *plugin.Outbound
	log       *slog.Logger
}

// SetHost takes the way to the endpoint.
func (t *toy) SetHost(h *plugin.Outbound) { t.host = h }

// SetLogger takes the log.
func (t *toy) SetLogger(l *slog.Logger) { t.log = l }

const toyContent = `
meta: {Name: toy, Version: v1.0.0, Description: a toy}
sections:
  params:
    toy/address: {Name: toy/address, Description: where, Schema: {type: string}}
    toy/port: {Name: toy/port, Description: port, Schema: {type: integer, default: 7}}
    toy/size: {Name: toy/size, Description: optional, Schema: {type: integer}}
    toy/password: {Name: toy/password, Description: secret, Secure: true, Schema: {type: string}}
    toy/label: {Name: toy/label, Description: empty by default, Schema: {type: string, default: ""}}
`

// toyActions are the actions of every toy.
func toyActions() []model.AvailableAction {
	required, optional := []string{"toy/address", "toy/password"}, []string{"toy/port", "toy/size"}
	var out []model.AvailableAction
	for _, command := range []string{"poweron", "poweroff", "powercycle", "powerreset", "powerstatus", "getParams", "getModel", "crash", "leak"} {
		out = append(out, model.AvailableAction{Model: "machines", Command: command, RequiredParams: required, OptionalParams: optional})
	}
	return append(out,
		model.AvailableAction{Model: "machines", Command: "getLabel", RequiredParams: []string{"toy/label"}},
		model.AvailableAction{Model: "plugins", Command: "getInventory"},
		model.AvailableAction{Model: "plugins", Command: "getTalk"})
}

// definition is what the toy of a role prints at define.
func definition(role string) *model.PluginProvider {
	def := &model.PluginProvider{
		Name: "toy", Version: "v1.0.0", PluginVersion: model.PluginVersion, AutoStart: true,
		AvailableActions: toyActions(), Content: toyContent,
	}
	def.Meta = map[string]string{
		model.MetaTargets: `{"toy/password":["toy/address","toy/port"]}`,
		model.MetaClasses: `{"crash":"once","leak":"idempotent"}`,
	}
	switch role {
	case "scanner": // an action of its may be given up
		def.AvailableActions = append(def.AvailableActions, model.AvailableAction{Model: "machines", Command: "scan"})
		def.Meta[model.MetaCancellable] = `["scan"]`
	case "drp":
		return drpDefinition()
	case "other":
		def.Name, def.Content, def.Meta = "other", "", nil
		def.AvailableActions = []model.AvailableAction{{Model: "machines", Command: "poweron", RequiredParams: []string{"other/id"}}}
	case "clash":
		def.Name = "clash"
	case "listener", "fragile":
		def.Name, def.Content, def.AvailableActions, def.HasPublish = role, "", nil, true
	case "choosy": // a fragile one that says what it wants
		def.Name, def.Content, def.AvailableActions, def.HasPublish = role, "", nil, true
		def.Meta = map[string]string{model.MetaEvents: `["t.kill.*","t.a.*","plugins.recovered.*"]`}
	case "needy":
		def.Name, def.Content, def.AvailableActions, def.RequiredParams = "needy", "", nil, []string{"needy/key"}
		def.OptionalParams = []string{"needy/extra"}
	case "crashy", "refusing", "mute":
		def.Name, def.Content, def.AvailableActions = role, "", nil
	case "badname":
		def.Name = "../evil"
	case "slow":
		def.Name, def.Content = "slow", ""
	case "both":
		def.HasPublish = true
	case "noop":
		def.Name, def.Content = "noop", ""
		def.AvailableActions = nil
		for _, command := range []string{"poweron", "powercycle", "powerstatus"} {
			def.AvailableActions = append(def.AvailableActions, model.AvailableAction{Model: "machines", Command: command})
		}
	case "pinned": // a Secure param whose name does not say so
		def.Content += "    toy/pin: {Name: toy/pin, Secure: true, Schema: {type: integer}}\n  profiles:\n    toy-pinned: {Name: toy-pinned}\n"
	case "spy", "spyout":
		def.Name, def.Content, def.AvailableActions, def.Meta = "spy", "", nil, nil
		if role == "spyout" {
			def.Meta = map[string]string{model.MetaSandbox: sandboxOff}
		}
	case "v2":
		def.Version = "v2.0.0"
	}
	return def
}

// bePlugin is the main function of a toy.
func bePlugin(role string) int {
	if role == "old" {
		return beOld()
	}
	defining := len(os.Args) > 1 && os.Args[1] == "define"
	switch {
	case defining && role == "garbage":
		fmt.Println("\x00\x01 this is not JSON {{{")
		return 0
	case defining && role == "failing":
		fmt.Fprintln(os.Stderr, "Error: no licence for this moon phase")
		return 1
	case defining && role == "future": // the wrapper would not say so
		fmt.Println(`{"Name":"future","PluginVersion":5}`)
		return 0
	case defining && role == "hanging":
		<-time.After(time.Hour)
	}
	if role == "mute" && len(os.Args) > 1 && os.Args[1] == "listen" {
		fmt.Fprintln(os.Stderr, "Error: cannot find my voice")
		return 1
	}
	if role == "selecter" {
		return beSelecter()
	}
	if role == "crowd" || role == "deaf" {
		return beCrowd(role)
	}
	if strings.HasPrefix(role, "spy") && !defining {
		spy(os.Getenv(envDir))
	}
	t := &toy{role: role, dir: os.Getenv(envDir)}
	def := definition(role)
	plugin.InitApp(def.Name, "a toy", def.Version, def, t)
	return plugin.Main()
}

// note appends a line to a file of the toy's directory.
func (t *toy) note(file, line string) error {
	f, err := os.OpenFile(filepath.Join(t.dir, file), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, line)
	return errors.Join(err, f.Close())
}

// Config notes the params.
func (t *toy) Config(ctx context.Context, _ *client.Client, params model.Params) error {
	raw, err := json.Marshal(params)
	if err != nil {
		return err
	}
	if err := t.note("config-"+t.role, string(raw)); err != nil {
		return err
	}
	switch t.role {
	case "slow":
		return awaitFile(ctx, filepath.Join(t.dir, "configure"))
	case "crashy":
		os.Exit(3)
	case "refusing":
		if _, err := os.Stat(filepath.Join(t.dir, "accept")); err != nil {
			return model.Errorf(model.Invalid, "cannot log in with hunter22: wrong phase")
		}
	}
	return nil
}

// Publish notes an event.
func (t *toy) Publish(_ context.Context, e *model.Event) error {
	err := t.note("published", e.Type+"."+e.Action+"."+e.Key)
	if (t.role == "fragile" || t.role == "choosy") && e.Action == "kill" {
		os.Exit(9)
	}
	return err
}

// Action does what it is told.
func (t *toy) Action(ctx context.Context, a *model.Action) (any, error) {
	if t.role == "noop" {
		return model.Result{Power: model.StateOn, Raw: "is on", Outcome: model.Verified, Evidence: "seen"}, nil
	}
	switch a.Command {
	case "getParams":
		raw, err := json.Marshal(a.Params)
		if err != nil {
			return nil, err
		}
		return a.Params, t.note("params", string(raw))
	case "getModel":
		return a.Model, nil
	case "getTalk":
		return t.talk(ctx)
	case "getLabel", "getInventory":
		return map[string]any{"plugin": a.Plugin}, nil
	case "powerstatus":
		state, err := os.ReadFile(filepath.Join(t.dir, "state"))
		if err != nil {
			return nil, model.Errorf(model.Unreachable, "cannot reach toy: no answer").After(time.Second)
		}
		word := strings.TrimSpace(string(state))
		return model.Result{Power: model.PowerState(word), Raw: "is " + word}, nil
	}
	return t.change(ctx, a)
}

// talk sends the endpoint all that a plugin may send of its own accord.
func (t *toy) talk(ctx context.Context) (any, error) {
	t.log.InfoContext(ctx, "toy talks", "length", 1)
	t.log.Info("toy logs in with plug-s3cr3t") // the wrapper cannot know that it is one
	t.log.Warn("toy warns " + strings.Repeat("w", 2*maxLine))
	for _, e := range []*model.Event{
		{Type: "toys", Action: "talk", Key: "k", Object: map[string]any{"Params": map[string]any{"toy/password": "pw-12345"}, "Text": "plain plug-s3cr3t"}},
		{Type: "websocket", Action: "register", Key: "*.*.*"},
		{Type: "toys", Action: "big", Object: strings.Repeat("z", maxPluginEvent)},
		{Type: "toys", Action: "end"},
	} {
		if err := t.host.Publish(ctx, e); err != nil {
			return nil, err
		}
	}
	return "said", t.host.Leaving(ctx, model.Errorf(model.Internal, "tired"))
}

// change executes a mutating action, and waits for the file "go" if there is a
// file "hold".
func (t *toy) change(ctx context.Context, a *model.Action) (any, error) {
	if err := t.note("executed", a.Command); err != nil {
		return nil, err
	}
	t.log.InfoContext(ctx, "toy executes "+a.Command)
	if _, err := os.Stat(filepath.Join(t.dir, "hold")); err == nil {
		if err := awaitFile(ctx, filepath.Join(t.dir, "go")); err != nil {
			return nil, err
		}
	}
	switch a.Command {
	case "crash":
		os.Exit(7)
	case "leak":
		secret, err := a.Params.String("toy/password", "")
		if err != nil {
			return nil, err
		}
		return nil, model.Errorf(model.DeviceAuth, "device refused %s at once", secret)
	case "powerreset":
		return nil, model.Errorf(model.Busy, "toy is busy").After(2 * time.Second)
	}
	changed := true
	state := model.StateOn
	if a.Command == "poweroff" {
		state = model.StateOff
	}
	return model.Result{Power: state, Raw: "is " + string(state), Changed: &changed, Outcome: model.Verified, Evidence: "seen"}, nil
}

// awaitFile waits until a file is there.
func awaitFile(ctx context.Context, path string) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
