package plugin

import (
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"provision-plugins/shared/inventory"
	"provision-plugins/shared/model"
)

// benchAction is an action of ordinary size.
func benchAction() *model.Action {
	m := model.NewMachine("m1.local")
	m.Uuid = "3e7031fe-3062-45f1-835c-92541bc9cbd3"
	m.Params = model.Params{"ipmi/mode": "ipmitool", "ipmi/address": "127.0.0.1", "ipmi/username": "root", "ipmi/password": "s3cr3t-pw"}
	return &model.Action{Model: m, Plugin: "ipmi", Command: "incrstatus", Params: model.Params{"oob/timeout": 3}}
}

// BenchmarkWrapperAction is an action through both sockets, one at a time: from
// the host's Action to the plugin and back, while the plugin's log lines go the
// other way. p50-ms is its median.
func BenchmarkWrapperAction(b *testing.B) {
	p := launch(b, LaunchOptions{Handler: newRecorder()})
	a := benchAction()
	took := make([]time.Duration, 0, b.N)
	for b.Loop() {
		began := time.Now()
		if _, err := p.Action(context.Background(), a); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/1e6, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100])/1e6, "p99-ms")
}

// BenchmarkWrapperAsk is BenchmarkWrapperAction for an action that changes
// nothing.
func BenchmarkWrapperAsk(b *testing.B) {
	p := launch(b, LaunchOptions{Handler: newRecorder()})
	a := benchAction()
	for b.Loop() {
		if _, err := p.Ask(context.Background(), a); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDefine runs a plugin binary's define: the test binary's.
func BenchmarkDefine(b *testing.B) {
	e := self(b, "plugin")
	for b.Loop() {
		if _, err := Define(b.Context(), e); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLaunch starts a plugin until it is READY, and stops it.
func BenchmarkLaunch(b *testing.B) {
	o := LaunchOptions{Exec: self(b, "plugin"), Name: "x", RuntimeDir: shortDir(b)}
	var ready time.Duration
	for b.Loop() {
		began := time.Now()
		p, err := Launch(b.Context(), o)
		if err != nil {
			b.Fatal(err)
		}
		ready += time.Since(began)
		if err := p.Stop(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(ready)/1e6/float64(b.N), "ready-ms")
}

// BenchmarkRun is what run itself costs for a thousand machines.
func BenchmarkRun(b *testing.B) {
	impl := newTwin()
	r := &runner{program: newProgram("x", "", twinDefinition(), impl), actor: impl, command: "incrstatus", concurrency: defaultConcurrency}
	rows := make([]inventory.Row, 1000)
	for i := range rows {
		rows[i] = inventory.Row{Name: "m", Params: model.Params{"a": "b"}}
	}
	for b.Loop() {
		r.run(b.Context(), b.Context(), io.Discard, rows)
	}
}
