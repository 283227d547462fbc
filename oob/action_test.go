package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// TestBound tells how long an answer is waited for: longer than the endpoint
// itself waits, wherever the action's own bound comes from.
func TestBound(t *testing.T) {
	tests := []struct {
		name             string
		command          string
		request, machine model.Params
		profiles         string
		want             time.Duration
	}{
		{"default of a read", model.PowerStatus, nil, nil, `[]`, 15 * time.Second},
		{"default of a cycle", model.PowerCycle, nil, nil, `[]`, 180 * time.Second},
		{"request", model.PowerCycle, model.Params{"oob/timeout": 3}, model.Params{"oob/timeout": 900}, `[]`, 3 * time.Second},
		{"request in parts of a second", model.PowerOn, model.Params{"oob/timeout": 0.5}, nil, `[]`, 500 * time.Millisecond},
		{"machine", model.PowerOn, nil, model.Params{"oob/timeout": 900}, `[]`, 900 * time.Second},
		{"machine says less", model.PowerOn, nil, model.Params{"oob/timeout": 1}, `[]`, 90 * time.Second},
		{"profile", model.PowerOn, nil, nil, `[{"Name":"a"},{"Name":"global","Params":{"oob/timeout":600}},{"Name":"b","Params":{"oob/timeout":70}}]`, 600 * time.Second},
		{"machine beyond its profile", model.PowerOn, nil, model.Params{"oob/timeout": 900}, `[{"Name":"global","Params":{"oob/timeout":600}}]`, 900 * time.Second},
		{"wrong types", model.PowerOn, nil, model.Params{"oob/timeout": "soon"}, `[{"Name":"a","Params":{"oob/timeout":true}}]`, 90 * time.Second},
		{"profiles that cannot be read", model.PowerOn, nil, nil, `{`, 90 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, _, _ := testApp("")
			a.flags.socket = httpOn(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, tt.profiles) }))
			c, err := a.connect()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			call := actionCall{command: tt.command, params: tt.request}
			inv := invocation{call: call, least: leastBound(t.Context(), c, call)}
			if got := inv.bound(machine{params: tt.machine}); got != tt.want+overEndpoint {
				t.Errorf("waits %v, want %v", got, tt.want+overEndpoint)
			}
		})
	}
}

// An action of a driver's own is waited for as long as its provider says.
func TestUsualBound(t *testing.T) {
	providers := `[{"Name":"a","Meta":{"oob/timeouts":"{\"reinstall\":1800,\"poweron\":7200}"}},{"Name":"b","Meta":{"oob/timeouts":"{\"reinstall\":70}"}},{"Name":"c"}]`
	for _, tt := range []struct {
		command, providers string
		want               time.Duration
	}{
		{"reinstall", providers, 30 * time.Minute},
		{"rescue", providers, time.Minute},
		{model.PowerOn, providers, 90 * time.Second},
		{"reinstall", `{`, time.Minute},
	} {
		a, _, _ := testApp("")
		a.flags.socket = httpOn(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, tt.providers) }))
		c, err := a.connect()
		if err != nil {
			t.Fatal(err)
		}
		if got := usualBound(t.Context(), c, tt.command); got != tt.want {
			t.Errorf("%s: waits %v, want %v", tt.command, got, tt.want)
		}
		c.Close()
	}
}

func TestActionError(t *testing.T) {
	tests := []struct {
		name string
		err  error
		kind model.Kind
		want string
	}{
		{"interrupted read", model.Errorf(model.Timeout, "no answer: %w", context.Canceled), model.Timeout, "interrupted while waiting"},
		{"interrupted change", model.Errorf(model.UnknownOutcome, "no answer: %w", context.Canceled), model.UnknownOutcome,
			"interrupted while waiting; what was begun goes on: `oob runs list` shows how it ends"},
		{"no such action", model.Errorf(model.NotFound, "Action poweron on machines: Not Found"), model.NotFound,
			"no plugin in use offers poweron for this machine; `oob plugin show NAME` lists the actions of one"},
		{"machine gone meanwhile", model.Errorf(model.NotFound, "no machine is called m1"), model.NotFound, "no machine is called m1"},
		{"missing param", model.Errorf(model.Invalid, "Action poweron Missing Parameter ipmi/address"), model.Invalid,
			"Action poweron Missing Parameter ipmi/address; set it by `oob machine set m1 ipmi/address=VALUE`"},
		{"missing secret", model.Errorf(model.Invalid, "Action poweron Missing Parameter ipmi/password"), model.Invalid,
			"Action poweron Missing Parameter ipmi/password; set it by `oob machine set m1 --param-file ipmi/password=FILE`"},
		{"other", model.Errorf(model.Conflict, "run r1 is not over"), model.Conflict, "run r1 is not over"},
		{"not ours", fmt.Errorf("odd"), model.Internal, "odd"},
	}
	for _, tt := range tests {
		e := actionError(tt.err, model.PowerOn, "m1")
		if e.Kind() != tt.kind || e.Text() != tt.want {
			t.Errorf("%s: got %s: %s", tt.name, e.Kind(), e.Text())
		}
	}
}

// TestActionParams turns flags into the params of a request.
func TestActionParams(t *testing.T) {
	tests := []struct{ args, want, errs string }{
		{"power on m1", `{}`, ""},
		{"power on m1 --timeout 1m30s --reason why --after-unknown r1 --wait=false", `{"oob/after-unknown":"r1","oob/reason":"why","oob/timeout":90,"oob/wait":false}`, ""},
		{"power soft m1 --yes --force-after 30", `{"oob/force-after":30}`, ""},
		{"identify m1", `{}`, ""},
		{"identify m1 --for 15", `{"ipmi/identify-duration":15}`, ""},
		{"identify m1 --off", `{"ipmi/identify-duration":0}`, ""},
		{"identify m1 --off --param ipmi/identify-duration=5", "", "param ipmi/identify-duration is given twice"},
		{"power on m1 --timeout 3 --param oob/timeout=4", "", "param oob/timeout is given twice"},
		{"power status m1 --wait=false", "", "unknown flag: --wait"},
		{"power on m1 --force-after 30", "", "unknown flag: --force-after"},
	}
	for _, tt := range tests {
		f, a := startIn(t, map[string]string{"machines.json": `[{"Name": "m1", "Uuid": "u1", "Answers": {
			"poweron": {"Body": "done"}, "powersoft": {"Body": "done"}, "identify": {"Body": "done"}}}]`})
		var stderr strings.Builder
		a.stderr = &stderr
		code := run(t.Context(), a, append(strings.Fields(tt.args), "--socket", f.socket))
		sent := f.takeSent()
		switch {
		case tt.errs != "":
			if code != 2 || sent != "" || !strings.Contains(stderr.String(), tt.errs) {
				t.Errorf("%s: exit code %d, sent %q, printed %q", tt.args, code, sent, stderr.String())
			}
		case code != 0 || !strings.HasSuffix(sent, " "+tt.want+"\n"):
			t.Errorf("%s: exit code %d, sent %q, want %s; printed %q", tt.args, code, sent, tt.want, stderr.String())
		}
	}
}
