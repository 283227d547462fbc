package endpoint

import (
	"encoding/json"
	"fmt"
	"testing"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// TestClientObjects takes one object through all that a client can do with it.
func TestClientObjects(t *testing.T) {
	t.Parallel()
	r := start(t)
	ctx, profiles := t.Context(), r.c.Profiles()
	made, err := profiles.Create(ctx, &model.Profile{Name: "rack", Params: model.Params{"a/b": 1}})
	if err != nil || made.Name != "rack" || made.Params["a/b"] != json.Number("1") {
		t.Fatalf("create: %+v, %v", made, err)
	}
	_, err = profiles.Create(ctx, made)
	wantError(t, err, model.Conflict, "profiles/rack: already exists")

	made.Description = "row 7"
	if got, err := profiles.Replace(ctx, "rack", made); err != nil || got.Description != "row 7" {
		t.Errorf("replace: %+v, %v", got, err)
	}
	got, err := profiles.Patch(ctx, "Name:rack", client.Test("/Description", "row 7"),
		client.Replace("/Description", "row 8"), client.Add(client.Pointer("Params", "c~d/e"), []int{1}), client.Remove(client.Pointer("Params", "a/b")))
	if err != nil || got.Description != "row 8" || got.Params["a/b"] != nil || fmt.Sprint(got.Params["c~d/e"]) != "[1]" {
		t.Errorf("patch: %+v, %v", got, err)
	}
	_, err = profiles.Patch(ctx, "rack", client.Test("/Description", "row 7"), client.Replace("/Description", "row 9"))
	wantError(t, err, model.Conflict, "Test op failed")
	if got, err := profiles.Get(ctx, "rack"); err != nil || got.Description != "row 8" {
		t.Errorf("after a test that failed: %+v, %v", got, err)
	}
	if got, err := profiles.Delete(ctx, "rack"); err != nil || got.Description != "row 8" {
		t.Errorf("delete: %+v, %v", got, err)
	}
	_, err = profiles.Get(ctx, "rack")
	wantError(t, err, model.NotFound, "profiles/rack: Not Found")
}

// TestClientLists asks for parts of a list.
func TestClientLists(t *testing.T) {
	t.Parallel()
	r := start(t)
	ctx, machines := t.Context(), r.c.Machines()
	for _, name := range []string{"m3", "m1", "m4", "m2"} {
		m := model.NewMachine(name)
		m.Params["site/row"] = "row (" + name[1:] + ")"
		if _, err := machines.Create(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		q     client.Query
		names string
		count int
	}{
		{client.Query{Sort: "Name"}, "[m1 m2 m3 m4]", 4},
		{client.Query{Sort: "Name", Offset: 1, Limit: 2}, "[m2 m3]", 4},
		{client.Query{Sort: "Name", Reverse: true, Limit: 1}, "[m4]", 4},
		{client.Query{Filters: []client.Filter{client.Where("Name", client.Eq, "m3")}}, "[m3]", 1},
		{client.Query{Filters: []client.Filter{client.Where("site/row", client.Eq, "row (2)")}}, "[m2]", 1},
		{client.Query{Filters: []client.Filter{client.Where("Name", client.AsGiven, "none")}}, "[]", 0},
	} {
		list, err := machines.List(ctx, tt.q)
		names := []string{}
		for i := range list {
			names = append(names, list[i].Name)
		}
		if err != nil || fmt.Sprint(names) != tt.names {
			t.Errorf("%+v: %v, %v; want %s", tt.q, names, err, tt.names)
		}
		if n, err := machines.Count(ctx, tt.q); err != nil || n != tt.count {
			t.Errorf("%+v: %d, %v; want %d", tt.q, n, err, tt.count)
		}
	}
}

// TestClientParams sets, reads and unsets params.
func TestClientParams(t *testing.T) {
	t.Parallel()
	r := start(t)
	ctx, machines := t.Context(), r.c.Machines()
	if _, err := machines.Create(ctx, model.NewMachine("m1")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.c.Profiles().SetParam(ctx, model.GlobalProfile, "site/name", "north"); err != nil {
		t.Fatal(err)
	}
	const big = "12345678901234567890"
	if v, err := machines.SetParam(ctx, "Name:m1", "a/b", json.Number(big)); err != nil || v != json.Number(big) {
		t.Errorf("set: %v, %v", v, err)
	}
	if v, err := machines.Param(ctx, "Name:m1", "a/b", client.View{}); err != nil || v != json.Number(big) {
		t.Errorf("get: %v, %v", v, err)
	}
	if v, err := machines.Param(ctx, "Name:m1", "site/name", client.View{}); err != nil || v != nil {
		t.Errorf("a param of the global profile, alone: %v, %v", v, err)
	}
	if v, err := machines.Param(ctx, "Name:m1", "site/name", client.View{Aggregate: true}); err != nil || v != "north" {
		t.Errorf("a param of the global profile: %v, %v", v, err)
	}
	if all, err := machines.Params(ctx, "Name:m1", client.View{Aggregate: true}); err != nil || all["a/b"] != json.Number(big) || all["site/name"] != "north" {
		t.Errorf("all: %v, %v", all, err)
	}
	if all, err := machines.SetParams(ctx, "Name:m1", model.Params{"c": true}); err != nil || len(all) != 1 {
		t.Errorf("set all: %v, %v", all, err)
	}
	if v, err := machines.RemoveParam(ctx, "Name:m1", "c"); err != nil || v != true {
		t.Errorf("unset: %v, %v", v, err)
	}
	if all, err := machines.Params(ctx, "Name:m1", client.View{}); err != nil || len(all) != 0 {
		t.Errorf("after all: %v, %v", all, err)
	}
	_, err := machines.Param(ctx, "Name:none", "c", client.View{})
	wantError(t, err, model.NotFound, "Name:none")
}

// TestClientActions reads what can be done to a machine.
func TestClientActions(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("m1", nil)
	ctx, machines := t.Context(), r.c.Machines()
	all, err := machines.Actions(ctx, "Name:m1", "toy")
	if err != nil || len(all) == 0 {
		t.Fatalf("actions: %v, %v", all, err)
	}
	one, err := machines.Action(ctx, "Name:m1", model.PowerOn, "")
	if err != nil || one.Command != model.PowerOn || one.Provider != "toy" {
		t.Errorf("one action: %+v, %v", one, err)
	}
	_, err = machines.Action(ctx, "Name:m1", "fly", "")
	wantError(t, err, model.NotFound, "fly")
	if all, err := machines.Actions(ctx, "Name:m1", "none"); err != nil || len(all) != 0 {
		t.Errorf("actions of a plugin that is not there: %v, %v", all, err)
	}
}

// TestClientPatternRefused registers for a pattern that the endpoint does not
// take.
func TestClientPatternRefused(t *testing.T) {
	t.Parallel()
	r := start(t)
	err := r.c.Events(t.Context(), []string{"machines.*.*", "nonsense"}, nil)
	wantError(t, err, model.Invalid, `refused to register "nonsense"`)
}
