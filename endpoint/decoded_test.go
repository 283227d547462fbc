package endpoint

import (
	"encoding/json"
	"strconv"
	"testing"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// TestDecodedObjects gives an object back for the very text and the epoch that it
// was decoded in only, and keeps so many.
func TestDecodedObjects(t *testing.T) {
	t.Parallel()
	var d decodedObjects
	raw := json.RawMessage(`{"Name":"x"}`)
	same := append(json.RawMessage(nil), raw...)
	object := &model.Profile{Name: "x"}
	d.put("profiles/x", decodedObject{raw, 7, object})
	if d.get("profiles/x", raw, 7) != object {
		t.Error("not given back")
	}
	for name, got := range map[string]any{
		"another key":   d.get("profiles/y", raw, 7),
		"another epoch": d.get("profiles/x", raw, 8),
		"another text":  d.get("profiles/x", same, 7),
		"a part of it":  d.get("profiles/x", raw[:3], 7),
		"nothing":       d.get("profiles/x", nil, 7),
	} {
		if got != nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
	for i := range 3 * maxDecoded {
		d.put("profiles/"+strconv.Itoa(i), decodedObject{raw, 7, object})
	}
	if len(d.kept) > maxDecoded {
		t.Errorf("%d are kept", len(d.kept))
	}
}

// TestActionsSeeProfilesAsTheyAre changes the profiles that an action's params
// come from, between actions: each sees what is stored then, secrets too.
func TestActionsSeeProfilesAsTheyAre(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	ctx := t.Context()
	r.machine("m1", nil)
	size := func(want any) {
		t.Helper()
		for range 2 { // the second time as it was decoded before
			reply, err := r.act("m1", "getParams", nil)
			if err != nil {
				t.Fatal(err)
			}
			var params model.Params
			if err := model.Unmarshal(reply.Result, &params); err != nil || params["toy/size"] != want {
				t.Errorf("toy/size is %v, want %v; %v", params["toy/size"], want, err)
			}
		}
	}
	size(nil)
	for _, n := range []string{"3", "4"} {
		if _, err := r.c.Profiles().SetParam(ctx, model.GlobalProfile, "toy/size", json.Number(n)); err != nil {
			t.Fatal(err)
		}
		size(json.Number(n))
	}
	if _, err := r.c.Profiles().Create(ctx, &model.Profile{Name: "big", Params: model.Params{"toy/size": 90, "x/password": "hunter22"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.c.Machines().Patch(ctx, "Name:m1", client.Replace("/Profiles", []string{"big"})); err != nil {
		t.Fatal(err)
	}
	size(json.Number("90"))
	if r.e.objects.decodings.kept["profiles/big"].object != nil {
		t.Error("a profile with a secret is kept in clear")
	}
	if r.e.objects.decodings.kept["profiles/"+model.GlobalProfile].object == nil {
		t.Error("the global profile is decoded each time")
	}
	if _, err := r.c.Profiles().RemoveParam(ctx, "big", "toy/size"); err != nil {
		t.Fatal(err)
	}
	size(json.Number("4"))
}
