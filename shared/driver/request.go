package driver

import (
	"errors"
	"reflect"
	"strings"
	"time"

	"provision-plugins/shared/model"
)

// machines is the prefix of the objects that the vocabulary acts on.
const machines = "machines"

// The params that a Provider takes itself.
const (
	paramTimeout    = "oob/timeout"
	paramWait       = "oob/wait"
	paramForceAfter = "oob/force-after"
	paramProtected  = "oob/protected"
)

// maxTimeout bounds oob/timeout and oob/force-after.
const maxTimeout = 2 * time.Hour

// minTimeout keeps an oob/timeout from being over before anything is tried.
const minTimeout = 10 * time.Millisecond

// request is an action as decoded and checked, before anything is sent.
type request struct {
	action *model.Action
	info   model.ActionInfo
	cap    *capability // nil for a driver's own action
	plan   plan
	target *Target
	// prefix is of the object acted on.
	prefix string
	// key is what actions are serialised by; "" for objects that are no machine.
	key     string
	timeout time.Duration
	wait    bool
	// force is oob/force-after, negative when it is not given.
	force time.Duration
	// pin is the identity that the machine must have; "" for any.
	pin     string
	secrets redactor
}

// object is what a Provider reads of an action's Model.
type object struct {
	Name   string
	Uuid   string
	Params model.Params
}

// request decodes an action. Whatever stands in it, the answer is a request or
// an error.
func (p *Provider) request(a *model.Action) (*request, error) {
	if a == nil {
		return nil, model.Errorf(model.Invalid, "cannot run an action: the request has no body")
	}
	req := &request{action: a, info: model.ActionOf(a.Command, p.meta), prefix: machines}
	if err := p.choose(req); err != nil {
		return nil, err
	}
	obj, err := objectOf(a.Model)
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot %s: the object to act on cannot be read: %s", a.Command, textOf(err))
	}
	req.target = &Target{Name: obj.Name, UUID: obj.Uuid, Params: merge(obj.Params, a.Params), Asked: a.Params}
	if req.target.Name == "" {
		req.target.Name = obj.Uuid
	}
	req.secrets = newRedactor(req.target.Params, p.opts.Secure)
	if req.prefix == machines {
		if req.key = obj.Uuid; req.key == "" {
			req.key = obj.Name
		}
		if req.key == "" {
			return nil, model.Errorf(model.Invalid, "cannot %s: the object to act on has no Name and no Uuid", a.Command)
		}
	}
	if req.cap != nil && len(p.modes[req.cap.command]) == 0 {
		return nil, req.wrap(p.lacks(req.cap, nil))
	}
	if err := req.settings(obj.Params); err != nil {
		return nil, err
	}
	return req, nil
}

// choose finds the plan of the request's command.
func (p *Provider) choose(req *request) error {
	if e := p.extraOf(req.action.Command); e != nil {
		req.info.Class, req.plan, req.prefix = e.Class, planExtra(e), e.Prefix
		return nil
	}
	req.cap = capabilityOf(req.action.Command)
	if req.cap == nil {
		return model.Errorf(model.NotFound, "cannot %.64q: driver %s has no such action", req.action.Command, p.driver.Name())
	}
	req.plan = req.cap.plan
	return nil
}

// objectOf reads an action's Model, which is whatever JSON came.
func objectOf(v any) (object, error) {
	switch m := v.(type) {
	case *model.Machine:
		if m != nil {
			return object{Name: m.Name, Uuid: m.Uuid, Params: m.Params}, nil
		}
	case model.Machine:
		return object{Name: m.Name, Uuid: m.Uuid, Params: m.Params}, nil
	}
	var obj object
	err := model.Remarshal(v, &obj)
	return obj, err
}

// merge lays params over others; a null in them sets nothing.
func merge(under, over model.Params) model.Params {
	out := make(model.Params, len(under)+len(over))
	for name, v := range under {
		out[name] = v
	}
	for name, v := range over {
		if v != nil {
			out[name] = v
		}
	}
	return out
}

// settings reads the oob/* params. own are the machine's params without the
// request's: protection counts there only.
func (req *request) settings(own model.Params) error {
	protected, err := own.Bool(paramProtected, false)
	if err != nil && req.info.Guarded {
		return req.wrap(err)
	}
	if protected && req.info.Guarded {
		return req.errorf(model.Forbidden, "the machine is protected (%s); nothing was sent", paramProtected)
	}
	params := req.target.Params
	if req.timeout, err = params.Seconds(paramTimeout, req.info.Timeout, maxTimeout); err != nil {
		return req.wrap(err)
	}
	if req.timeout < minTimeout {
		return req.errorf(model.Invalid, "param %s must be more than 0", paramTimeout)
	}
	if req.wait, err = params.Bool(paramWait, true); err != nil {
		return req.wrap(err)
	}
	if req.force, err = params.Seconds(paramForceAfter, -1, maxTimeout); err != nil {
		return req.wrap(err)
	}
	if req.pin, err = pinOf(own, params); err != nil {
		return req.wrap(err)
	}
	if req.pin != "" {
		params[model.ParamIdentity] = req.pin
	}
	if req.info.Command == model.PowerSoft && req.force >= req.timeout {
		return req.errorf(model.Invalid, "param %s (%v) must be less than %s (%v)", paramForceAfter, req.force, paramTimeout, req.timeout)
	}
	return nil
}

// same reports whether two requests ask for the same thing of the same device.
// How long to wait and why it is asked make no difference.
func (req *request) same(other *request) bool {
	return req.info.Command == other.info.Command && req.pin == other.pin &&
		reflect.DeepEqual(asked(req.target.Params), asked(other.target.Params))
}

// asked returns the params without the oob/* ones.
func asked(p model.Params) model.Params {
	out := make(model.Params, len(p))
	for name, v := range p {
		if !strings.HasPrefix(name, "oob/") {
			out[name] = v
		}
	}
	return out
}

// errorf makes the error of a request: it names the object and shows no secret.
func (req *request) errorf(kind model.Kind, format string, args ...any) *model.Error {
	text := textOf(model.Errorf(kind, format, args...))
	subject := ""
	if req.target.Name != "" {
		subject = " " + req.target.Name
	}
	text = "cannot " + req.info.Command + subject + ": " + text
	if kind == model.UnknownOutcome {
		text += "; " + req.lookAt()
	}
	return model.Errorf(kind, "%s", req.secrets.text(text)).On(req.prefix, req.target.Name)
}

// wrap makes err the error of a request and keeps its kind.
func (req *request) wrap(err error) *model.Error {
	e := req.errorf(model.KindOf(err), "%s", textOf(err))
	var known *model.Error
	if errors.As(err, &known) {
		e.RetryAfter = known.RetryAfter
	}
	return e
}
