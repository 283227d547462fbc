package plugin

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// config hands the plugin's params to the implementation.
func (s *server) config(r *http.Request) (any, *model.Error) {
	params := model.Params{}
	if e := decode(r, &params); e != nil {
		return nil, e
	}
	s.configuring.Lock()
	defer s.configuring.Unlock()
	ctx := r.Context()
	secure := s.secureFor(params)
	values := model.SecretValues(params, secure)
	s.lines.config.Store(&values)
	s.logger.InfoContext(ctx, "Setting API session")
	c, err := s.connect()
	if err != nil {
		return nil, model.AsError(err)
	}
	s.logger.InfoContext(ctx, "Received Config request: "+showParams(params, secure))
	if err := s.program.impl.Config(ctx, c, params); err != nil {
		return nil, model.AsError(err)
	}
	if err := s.selectEvents(ctx, c); err != nil {
		return nil, model.AsError(err)
	}
	if s.apis != nil {
		name, _ := params.String(nameParam, "") // a host that gives none has no API
		s.apis.name.Store(&name)
	}
	return okReply(), nil
}

// secureFor returns what tells Secure params. It leaves the content bundle
// alone when there is nothing to ask it about.
func (s *server) secureFor(params model.Params) func(string) bool {
	for name := range params {
		if name != nameParam && !model.SecretName(name) {
			return s.program.secure
		}
	}
	return nil
}

// showParams renders params for the log, secrets masked.
func showParams(params model.Params, secure func(string) bool) string {
	raw, err := model.Marshal(model.RedactParams(params, secure))
	if err != nil {
		return "(unprintable)"
	}
	return cut(string(raw), maxMessage/2)
}

// endpointURL is the endpoint's, as the environment names it.
func endpointURL() string { return cmp.Or(os.Getenv(EnvEndpoint), defaultEndpoint) }

// newClient makes the client of the endpoint that the environment names.
// Nothing is dialled, and a missing token is the endpoint's to complain about.
func newClient() (*client.Client, error) {
	o := client.Options{Endpoint: endpointURL(), Token: os.Getenv(EnvToken)}
	if path := os.Getenv(EnvLocalProxy); path != "" {
		if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
			o.Socket = path
		}
	}
	c, err := client.New(o)
	if err != nil {
		return nil, model.Errorf(model.AsError(err).Kind(), "cannot use %s: %w", EnvEndpoint, err)
	}
	return c, nil
}

// action runs one action.
func (s *server) action(r *http.Request) (any, *model.Error) {
	if e := s.gate.enter(); e != nil {
		return nil, e
	}
	defer s.gate.leave()
	a, e := decodeAction(r)
	if e != nil {
		return nil, e
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(s.actions, func() { cancel(context.Cause(s.actions)) })()
	requestOf(ctx).holds(s.program.secure, func() []model.Params { return actionParams(a) })
	actor := s.program.impl.(Actor)
	return s.act(ctx, a, func(ctx context.Context) (any, error) { return actor.Action(ctx, a) })
}

// decodeAction decodes an action but for its Model, which each plugin reads in
// its own way, most of them little of it.
func decodeAction(r *http.Request) (*model.Action, *model.Error) {
	object, a := newAction()
	if e := decode(r, a); e != nil {
		return nil, e
	}
	settle(a, object)
	return a, nil
}

// newAction returns what an action is decoded into, and where its Model comes.
func newAction() (object *json.RawMessage, a *model.Action) {
	object = new(json.RawMessage)
	return object, &model.Action{Model: object}
}

// settle gives a decoded action its Model.
func settle(a *model.Action, object *json.RawMessage) {
	a.Model = nil
	if len(*object) > 0 && string(*object) != "null" {
		a.Model = *object
	}
}

// act performs an action by the implementation. A panic within one that must not be
// sent twice leaves its outcome unknown.
func (s *server) act(ctx context.Context, a *model.Action, perform func(context.Context) (any, error)) (v any, e *model.Error) {
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		v, e = nil, s.panicked(ctx, "action "+cut(a.Command, 64), cause)
		if model.ActionOf(a.Command, s.program.def.Meta).Class == model.Once {
			e = model.Errorf(model.UnknownOutcome, "%s", e.Text())
		}
	}()
	v, err := perform(ctx)
	if err != nil {
		return nil, model.AsError(err)
	}
	return v, nil
}

// publish hands an event to the implementation.
func (s *server) publish(r *http.Request) (any, *model.Error) {
	event := &model.Event{}
	if e := decode(r, event); e != nil {
		return nil, e
	}
	requestOf(r.Context()).holds(s.program.secure, func() []model.Params { return eventParams(event) })
	if err := s.program.impl.(Publisher).Publish(r.Context(), event); err != nil {
		return nil, model.AsError(err)
	}
	return okReply(), nil
}

// stop asks for the end of the process and answers when nothing is in flight
// any more. The body is ignored.
func (s *server) stop(r *http.Request) (any, *model.Error) {
	s.logger.LogAttrs(r.Context(), slog.LevelInfo, "STOPPING")
	s.askStop()
	select {
	case <-s.drained:
	case <-r.Context().Done():
	}
	return okReply(), nil
}

// askStop makes the process end. It may be called again.
func (s *server) askStop() { s.askOnce.Do(func() { close(s.stopAsked) }) }
