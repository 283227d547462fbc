package endpoint

import (
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// slow starts an endpoint whose only plugin is not configured before the file
// "configure" is there.
func slow(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, "toy", "slow")
	r.build()
	r.e.timing.readyWait = 50 * time.Millisecond
	if err := r.e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.connect()
	t.Cleanup(r.stop)
	r.ready("toy") // its content declares the params
	eventually(t, "being configured", func() bool { return len(r.lines("config-slow")) == 1 })
	r.machine("m1", model.Params{"oob/driver": "slow"})
	return r
}

func TestAnActionWaitsForItsPlugin(t *testing.T) {
	t.Parallel()
	r := slow(t)
	reply, err := r.act("m1", "powercycle", model.Params{"oob/wait": false})
	if err != nil {
		t.Fatal(err)
	}
	if run := r.newestRun(); run.State != model.RunQueued || run.ID != reply.Run {
		t.Errorf("run %+v, want it queued", run)
	}
	r.put("configure", "")
	eventually(t, "done", func() bool { return r.newestRun().State == model.RunDone })
	if got := r.executed(); len(got) != 1 {
		t.Errorf("executed %v", got)
	}
}

func TestAQueuedRunCanBeCancelled(t *testing.T) {
	t.Parallel()
	r := slow(t)
	reply, err := r.act("m1", "powercycle", model.Params{"oob/wait": false})
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, r.c.Delete(t.Context(), "machines/Name:m1", nil), model.Conflict, reply.Run, "it ends by 20")
	var run model.Run
	if err := r.c.Post(t.Context(), "runs/"+reply.Run+"/cancel", nil, &run); err != nil {
		t.Fatal(err)
	}
	if run.State != model.RunFailed || run.Error == nil || !strings.Contains(run.Error.Text(), "never sent") {
		t.Errorf("run %+v", run)
	}
	wantError(t, r.c.Post(t.Context(), "runs/"+reply.Run+"/cancel", nil, nil), model.Conflict, reply.Run)
	wantError(t, r.c.Post(t.Context(), "runs/none/cancel", nil, nil), model.NotFound)
	wantError(t, r.c.Get(t.Context(), "runs/none", nil), model.NotFound, "runs/none")
	r.put("configure", "")
	r.ready("slow")
	if got := r.executed(); got != nil {
		t.Errorf("executed %v", got)
	}
}

func TestAReadDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	r := slow(t)
	_, err := r.act("m1", "powerstatus", nil)
	wantError(t, err, model.Unreachable, "plugin slow", "starting", "nothing was sent")
}

func TestAnActionOnABrokenPluginIsNeverSent(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("m1", nil)
	if err := r.c.Post(t.Context(), "plugins", model.Plugin{Name: "lame", Provider: "toy"}, nil); err != nil {
		t.Fatal(err)
	}
	r.ready("lame")
	u := r.e.sup.unit("lame")
	want := *u.wanted()
	want.problem = "its licence has lapsed"
	u.set(&want)
	eventually(t, "broken", func() bool { return u.settled() && r.pluginErrors("lame") != "" })
	if err := r.c.Post(t.Context(), "machines/Name:m1/params/oob%2Fdriver", "lame", nil); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"poweron", "powerstatus"} {
		_, err := r.act("m1", command, nil)
		wantError(t, err, model.Unreachable, "plugin lame is out of order", "licence", "nothing was sent")
	}
	if got := r.executed(); got != nil {
		t.Errorf("executed %v", got)
	}
}
