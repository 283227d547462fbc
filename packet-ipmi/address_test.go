package main

import (
	"testing"

	"provision-plugins/shared/model"
	"provision-plugins/sim/packet"
)

// Where the key goes says the plugin's config alone: an address among the params of a
// machine, or of a request, even beside a key of its own, is not listened to.
func TestAddressIsThatOfTheConfig(t *testing.T) {
	t.Parallel()
	l := newLab(t, packet.Options{}, packet.Device{})
	trap := startSim(t, packet.Options{})
	elsewhere := model.Params{paramURL: trap.URL()}
	withKey := model.Params{paramURL: trap.URL(), paramKey: goodKey}
	for _, command := range []string{
		model.PowerStatus, model.PowerOn, model.BootStatus, model.NextBootPXE, model.Status, model.Doctor, model.GetIdentity,
		"events", "screenshot", "health", "console", "rescue",
	} {
		for _, params := range []model.Params{elsewhere, withKey} {
			if _, err := l.act(t, command, params); err != nil {
				t.Errorf("%s: %v", command, err)
			}
			own := model.Params{paramUUID: l.id}
			for name, v := range params {
				own[name] = v
			}
			_, err := l.provider.Action(t.Context(), &model.Action{Model: map[string]any{"Name": "m1", "Uuid": "u1", "Params": own}, Command: command})
			if err != nil {
				t.Errorf("%s with the machine's: %v", command, err)
			}
		}
	}
	if n := trap.Requests(); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}
