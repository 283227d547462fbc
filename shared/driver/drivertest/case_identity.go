package drivertest

import (
	"strings"

	"provision-plugins/shared/model"
)

// identityCases are the cases of machines that are pinned to a device.
func identityCases() []suiteCase {
	needs := []string{model.GetIdentity, model.PowerOff}
	return []suiteCase{
		{name: "identity/read", needs: needs[:1], run: checkIdentity},
		{name: "identity/same", needs: needs, run: checkPinned},
		{name: "identity/other", needs: needs, run: checkOther},
		{name: "identity/body", needs: needs, run: checkPinInBody},
	}
}

// pinOther is what no device is.
const pinOther = "00000000-dead-4bad-8bad-00000000beef"

// readIdentity reads the identity of a device that is well.
func (l *lab) readIdentity() model.Identity {
	ans := l.act(model.GetIdentity, l.cfg.Timeout)
	id, ok := ans.result.(model.Identity)
	if !ok || id.ID == "" || id.Source == "" {
		l.Fatalf("getIdentity: %s", ans)
	}
	return id
}

// checkIdentity: the identity is read, stays the same, and nothing is changed.
func checkIdentity(l *lab) {
	first := l.readIdentity()
	if second := l.readIdentity(); second.ID != first.ID {
		l.Errorf("the device is %v, and then %v", first, second)
	}
	if !first.Is(first.ID) || first.Is(pinOther) {
		l.Errorf("identity %q is not itself alone", first.ID)
	}
	l.untouched()
}

// checkPinned: a machine that is pinned to its device works as any other.
func checkPinned(l *lab) {
	l.own = map[string]any{model.ParamIdentity: l.readIdentity().ID}
	l.verified(model.PowerOff, l.act(model.PowerOff, l.cfg.Timeout))
	l.only(model.PowerOff)
}

// checkOther: a machine that is pinned to another device is not changed, and the
// refusal names both. It can still be looked at, and its locator be lit.
func checkOther(l *lab) {
	is := l.readIdentity()
	l.own = map[string]any{model.ParamIdentity: pinOther}
	for _, info := range model.Actions() {
		if _, without := l.cfg.Without[info.Command]; without || info.Class == model.Read || info.Command == model.Identify {
			continue
		}
		ans := l.act(info.Command, l.cfg.Timeout)
		l.want(info.Command, ans, model.Conflict)
		if ans.err != nil && (!strings.Contains(ans.err.Error(), is.ID) || !strings.Contains(ans.err.Error(), pinOther)) {
			l.Errorf("%s: the refusal does not name both machines: %v", info.Command, ans.err)
		}
	}
	l.untouched()
	if _, without := l.cfg.Without[model.PowerStatus]; !without {
		if ans := l.act(model.PowerStatus, l.cfg.Timeout); ans.err != nil {
			l.Errorf("powerstatus: %s", ans)
		}
	}
}

// checkPinInBody: a request does not loosen the pin of a machine.
func checkPinInBody(l *lab) {
	is := l.readIdentity()
	l.own = map[string]any{model.ParamIdentity: pinOther}
	l.more(model.Params{model.ParamIdentity: is.ID})
	l.want(model.PowerOff, l.act(model.PowerOff, l.cfg.Timeout), model.Conflict)
	l.untouched()
}
