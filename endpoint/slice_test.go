package endpoint

import (
	"encoding/json"
	"testing"

	"provision-plugins/shared/model"
)

func TestOneActionOverTheSocket(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("m1", nil)
	reply, err := r.act("m1", "poweron", nil)
	if err != nil {
		t.Fatal(err)
	}
	var result model.Result
	if err := json.Unmarshal(reply.Result, &result); err != nil {
		t.Fatal(err)
	}
	if result.Power != model.StateOn || result.Outcome != model.Verified || reply.Run == "" {
		t.Errorf("got %+v, run %q", result, reply.Run)
	}
	if got := r.executed(); len(got) != 1 || got[0] != "poweron" {
		t.Errorf("executed %v", got)
	}
	var run model.Run
	if err := r.c.Get(t.Context(), "runs/"+reply.Run, &run); err != nil {
		t.Fatal(err)
	}
	if run.State != model.RunDone || run.Name != "m1" || run.Plugin != "toy" || run.Class != model.Idempotent {
		t.Errorf("run %+v", run)
	}
}
