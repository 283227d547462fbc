package main

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
)

// toy is a plugin for the scripts: machines in memory that switch at once.
type toy struct {
	plugin.Base
	log *slog.Logger
	mu  sync.Mutex // guards on
	on  map[string]bool
}

// toyMain is the main function of the plugin binary.
func toyMain() int {
	def := &model.PluginProvider{
		MetaData:      model.MetaData{Meta: map[string]string{model.MetaColumns: `{"address":"toy/address","password":"toy/password"}`}},
		Name:          "toy",
		Version:       "v1.2.3",
		PluginVersion: model.PluginVersion,
		AutoStart:     true,
		StoreObjects:  map[string]any{},
	}
	for _, command := range []string{model.PowerOn, model.PowerOff, model.PowerCycle, model.PowerStatus} {
		def.AvailableActions = append(def.AvailableActions, model.AvailableAction{
			Provider: "toy", Model: "machines", Command: command, RequiredParams: []string{"toy/address"},
		})
	}
	plugin.InitApp("toy", "A toy", "v1.2.3", def, &toy{on: map[string]bool{}})
	return plugin.Main()
}

// SetLogger takes the logger whose lines go to the endpoint.
func (t *toy) SetLogger(log *slog.Logger) { t.log = log }

// Config takes nothing.
func (*toy) Config(context.Context, *client.Client, model.Params) error { return nil }

// Action switches a machine. toy/behave makes it misbehave: crash ends the
// process, hang waits for the caller to go, refuse is an error.
func (t *toy) Action(ctx context.Context, a *model.Action) (any, error) {
	var m model.Machine
	if err := model.Remarshal(a.Model, &m); err != nil {
		return nil, err
	}
	behave, err := m.Params.String("toy/behave", "")
	if err != nil {
		return nil, err
	}
	protected, err := m.Params.Bool("oob/protected", false)
	if err != nil {
		return nil, err
	}
	info := model.ActionOf(a.Command, nil)
	if protected && info.Guarded {
		return nil, model.Errorf(model.Forbidden, "cannot %s %s: it is protected", a.Command, m.Name)
	}
	if info.Class != model.Read {
		switch behave {
		case "crash":
			os.Exit(9)
		case "hang":
			<-ctx.Done()
			return nil, model.Errorf(model.UnknownOutcome, "%s: nobody knows", m.Name)
		case "refuse":
			return nil, model.Errorf(model.DeviceAuth, "cannot %s %s: the device refused the password", a.Command, m.Name)
		}
	}
	t.log.InfoContext(ctx, "the toy switches "+m.Name)
	return t.act(a.Command, m.Name), nil
}

// act does what is asked.
func (t *toy) act(command, name string) *model.Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.on[name]
	res := &model.Result{Driver: "toy", TookMs: 1}
	if command != model.PowerStatus {
		t.on[name] = command != model.PowerOff
		changed := was != t.on[name] || command == model.PowerCycle
		res.Changed, res.Outcome = &changed, model.Verified
		res.Evidence = "looked at " + time.Now().Format(time.RFC3339Nano)
	}
	res.Power = model.StateOff
	if t.on[name] {
		res.Power = model.StateOn
	}
	return res
}
