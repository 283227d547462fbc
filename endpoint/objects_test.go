package endpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"provision-plugins/shared/model"
)

func TestMachineLife(t *testing.T) {
	t.Parallel()
	r := start(t)
	ctx := t.Context()
	var made, got, changed, patched, deleted model.Machine
	if err := r.c.Post(ctx, "machines", json.RawMessage(`{"Name":"m1.local","Params":{"a/b":1.123456789012,"gone":null}}`), &made); err != nil {
		t.Fatal(err)
	}
	if !uuidText.MatchString(made.Uuid) || made.Arch != "amd64" || made.BootEnv != "local" || !made.Runnable || !made.Validated || made.Errors == nil {
		t.Errorf("made %+v", made)
	}
	if err := r.c.Get(ctx, "machines/Name:m1.local", &got); err != nil || got.Uuid != made.Uuid {
		t.Fatalf("by name: %+v, %v", got, err)
	}
	if raw, err := model.Marshal(got.Params); err != nil || string(raw) != `{"a/b":1.123456789012}` {
		t.Errorf("params %s, %v", raw, err)
	}
	got.Description, got.Available = "rack 1", false
	if err := r.c.Put(ctx, "machines/"+made.Uuid, got, &changed); err != nil || changed.Description != "rack 1" || !changed.Available {
		t.Errorf("put: %+v, %v", changed, err)
	}
	patch := json.RawMessage(`[{"op":"test","path":"/Description","from":"","value":"rack 1"},{"op":"replace","path":"/Description","from":"","value":"rack 2"},{"op":"remove","path":"/Params/a~1b","from":"","value":null}]`)
	if err := r.c.Patch(ctx, "machines/Name:m1.local", patch, &patched); err != nil || patched.Description != "rack 2" || len(patched.Params) != 0 {
		t.Errorf("patch: %+v, %v", patched, err)
	}
	err := r.c.Patch(ctx, "machines/Name:m1.local", patch, nil)
	wantError(t, err, model.Conflict, "PATCH: machines/Name:m1.local", "Patch failed to apply at line 0", "Test op failed.")
	if err := r.c.Delete(ctx, "machines/Name:m1.local", &deleted); err != nil || deleted.Uuid != made.Uuid {
		t.Errorf("delete: %+v, %v", deleted, err)
	}
	wantError(t, r.c.Get(ctx, "machines/"+made.Uuid, nil), model.NotFound, "machines/"+made.Uuid, "Not Found")
}

func TestBadObjects(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("taken", nil)
	long := strings.Repeat("x", maxName+1)
	for _, c := range []struct {
		name, path, body string
		kind             model.Kind
		texts            []string
	}{
		{"no name", "machines", `{}`, model.Invalid, []string{"machines", "Empty key not allowed"}},
		{"bad name", "machines", `{"Name":"a/b"}`, model.Invalid, []string{"machines/a/b", "Invalid name"}},
		{"name with a line", "machines", `{"Name":"a\nb"}`, model.Invalid, []string{"machines/a b", "Invalid name"}},
		{"long name", "machines", `{"Name":"` + long + `"}`, model.Invalid, []string{"at most 255"}},
		{"bad uuid", "machines", `{"Name":"m","Uuid":"../x"}`, model.Invalid, []string{"Invalid Uuid"}},
		{"name taken", "machines", `{"Name":"taken"}`, model.Conflict, []string{"already exists", "taken"}},
		{"profile unknown", "machines", `{"Name":"m","Profiles":["none"]}`, model.Invalid, []string{"machines/m", "Profile none does not exist"}},
		{"wrong param", "machines", `{"Name":"m","Params":{"toy/port":"x"}}`, model.Invalid, []string{`Key 'toy/port': invalid val '"x"': : `, "Expected: integer, given: string"}},
		{"wrong secret", "machines", `{"Name":"m","Params":{"toy/password":[5]}}`, model.Invalid, []string{"Key 'toy/password': invalid val '******'", "Expected: string, given: array"}},
		{"mask of nothing", "machines", `{"Name":"m","Params":{"toy/password":"******"}}`, model.Invalid, []string{"toy/password", "there is none"}},
		{"wrong field", "machines", `{"Name":["m"]}`, model.Invalid, []string{"Name"}},
		{"no provider", "plugins", `{"Name":"i-woman"}`, model.Invalid, []string{"plugins/i-woman", "Invalid Provider ``"}},
		{"profile cut", "profiles", `{"Name":"p/q"}`, model.Invalid, []string{"profiles/p/q"}},
		{"profile nested", "profiles", `{"Name":"pq","Profiles":["none"]}`, model.Invalid, []string{"Profile none"}},
		{"global again", "profiles", `{"Name":"global"}`, model.Conflict, []string{"profiles/global", "already exists"}},
		{"bad default", "params", `{"Name":"bad/default","Schema":{"type":"integer","default":"x"}}`, model.Invalid, []string{"params/bad/default", "Error in default value: (root)"}},
		{"bad schema", "params", `{"Name":"bad/schema","Schema":{"type":7,"default":1}}`, model.Invalid, []string{"params/bad/schema"}},
		{"param of a layer", "params", `{"Name":"toy/port"}`, model.Conflict, []string{"params/toy/port", "already exists"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantError(t, r.c.Post(t.Context(), c.path, json.RawMessage(c.body), nil), c.kind, c.texts...)
		})
	}
}

func TestReadOnlyContent(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	var p model.Param
	if err := r.c.Get(t.Context(), "params/toy%2Fport", &p); err != nil || !p.ReadOnly || p.Bundle != "toy" {
		t.Errorf("got %+v, %v", p, err)
	}
	wantError(t, r.c.Put(t.Context(), "params/toy%2Fport", p, nil), model.Conflict, "readonly", "content toy")
	wantError(t, r.c.Delete(t.Context(), "params/toy%2Fport", nil), model.Conflict, "readonly")
	var list []json.RawMessage
	if err := errors.Join(r.c.Get(t.Context(), "stages", &list), r.c.Get(t.Context(), "templates", &list)); err != nil {
		t.Error(err)
	}
	wantError(t, r.c.Get(t.Context(), "stages/none-such", nil), model.NotFound, "stages/none-such")
}

func TestSecretsAreMaskedAndKept(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	ctx := t.Context()
	uuid := r.machine("m1", model.Params{"nested": map[string]any{"password": "deep-secret", "plain": "x"}, "list": []any{map[string]any{"token": "list-secret"}}})
	var shown model.Machine
	if err := r.c.Get(ctx, "machines/"+uuid, &shown); err != nil {
		t.Fatal(err)
	}
	raw, err := model.Marshal(shown)
	if err != nil || strings.Contains(string(raw), "secret") || strings.Contains(string(raw), "s3cr3t") {
		t.Fatalf("shown: %s, %v", raw, err)
	}
	shown.Description = "changed"
	if err := r.c.Put(ctx, "machines/"+uuid, shown, nil); err != nil {
		t.Fatal(err)
	}
	sealed, err := model.Marshal(shown.Params["toy/password"])
	if err != nil {
		t.Fatal(err)
	}
	patch := json.RawMessage(`[{"op":"test","path":"/Params/toy~1password","from":"","value":` + string(sealed) + `},{"op":"add","path":"/Params/x~1y","from":"","value":1}]`)
	if err := r.c.Patch(ctx, "machines/"+uuid, patch, nil); err != nil {
		t.Fatal(err)
	}
	var params model.Params
	if err := r.c.Get(ctx, "machines/"+uuid+"/params", &params); err != nil {
		t.Fatal(err)
	}
	if err := r.c.Post(ctx, "machines/"+uuid+"/params", params, nil); err != nil {
		t.Fatal(err)
	}
	m, err := r.stored(uuid)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := model.Marshal(m.Params)
	if err != nil || m.Description != "changed" {
		t.Errorf("stored %+v, %v", m, err)
	}
	for _, secret := range []string{"s3cr3t-pw", "deep-secret", "list-secret"} {
		if !strings.Contains(string(kept), secret) {
			t.Errorf("%s is lost: %s", secret, kept)
		}
	}
	if err := r.c.Post(ctx, "machines/"+uuid+"/params/toy%2Fpassword", "newer-pw", nil); err != nil {
		t.Fatal(err)
	}
	if m, err = r.stored(uuid); err != nil || m.Params["toy/password"] != "newer-pw" {
		t.Errorf("stored %v, %v", m.Params, err)
	}
}

// stored returns a machine with its secrets in clear.
func (r *rig) stored(uuid string) (*model.Machine, error) {
	found, err := r.e.objects.find(r.e.objects.kinds.get("machines"), uuid)
	if err != nil {
		return nil, err
	}
	object, err := r.e.objects.opened(r.e.objects.kinds.get("machines"), found)
	if err != nil {
		return nil, err
	}
	return object.(*model.Machine), nil
}

func TestParamsOfObjects(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	ctx := t.Context()
	uuid := r.machine("m1", nil)
	path := "machines/" + uuid + "/params"
	var value any
	if err := r.c.Post(ctx, path+"/toy/port", 12, &value); err != nil || fmt.Sprint(value) != "12" {
		t.Errorf("set: %v, %v", value, err)
	}
	if err := r.c.Get(ctx, path+"/toy%2Fport", &value); err != nil || fmt.Sprint(value) != "12" {
		t.Errorf("get: %v, %v", value, err)
	}
	value = "left"
	if err := r.c.Get(ctx, path+"/not/set", &value); err != nil || value != nil {
		t.Errorf("unset: %v, %v", value, err)
	}
	wantError(t, r.c.Post(ctx, path+"/toy/port", "x", nil), model.Invalid, "machines/"+uuid, "Key 'toy/port'")
	if err := r.c.Patch(ctx, path, json.RawMessage(`[{"op":"add","path":"/free","from":"","value":true}]`), nil); err != nil {
		t.Error(err)
	}
	if err := r.c.Post(ctx, "profiles/global/params/wide", "all", nil); err != nil {
		t.Error(err)
	}
	var own, all model.Params
	if err := errors.Join(r.c.Get(ctx, path, &own), r.c.Get(ctx, path+"?aggregate=true", &all)); err != nil {
		t.Fatal(err)
	}
	if own.Has("wide") || all["wide"] != "all" || own["free"] != true {
		t.Errorf("own %v, all %v", own, all)
	}
	if err := r.c.Delete(ctx, path+"/toy/port", &value); err != nil || fmt.Sprint(value) != "12" {
		t.Errorf("delete: %v, %v", value, err)
	}
	wantError(t, r.c.Get(ctx, "machines/Name:none/params", nil), model.NotFound, "Name:none")
}

func TestFilters(t *testing.T) {
	t.Parallel()
	r := start(t)
	ctx := t.Context()
	for i := range 4 {
		body := fmt.Sprintf(`{"Name":"m%d","Description":"row %d","Params":{"rack/unit":%d,"bmc/password":"pw"}}`, i, i%2, i)
		if err := r.c.Post(ctx, "machines", json.RawMessage(body), nil); err != nil {
			t.Fatal(err)
		}
	}
	for query, want := range map[string]int{
		"": 4, "?Name=m1": 1, "?Name=none": 0, "?Name=Eq(m2)": 1, "?Description=row+0": 2, "?Description=row+0&Name=m2": 1,
		"?rack%2Funit=3": 1, "?Runnable=true": 4, "?bmc%2Fpassword=pw": 0, "?nothing=x": 0, "?slim=Params": 4,
	} {
		var list []model.Machine
		if err := r.c.Get(ctx, "machines"+query, &list); err != nil || len(list) != want {
			t.Errorf("%s: %d machines, %v, want %d", query, len(list), err, want)
		}
	}
}

func TestConcurrentChangesAllCount(t *testing.T) {
	t.Parallel()
	r := start(t)
	if err := r.c.Post(t.Context(), "machines", json.RawMessage(`{"Name":"m1"}`), nil); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			errs[i] = r.c.Post(t.Context(), fmt.Sprintf("machines/Name:m1/params/p%d", i), i, nil)
		})
	}
	wg.Wait()
	var m model.Machine
	if err := errors.Join(append(errs, r.c.Get(t.Context(), "machines/Name:m1", &m))...); err != nil || len(m.Params) != len(errs) {
		t.Errorf("params %v, %v", m.Params, err)
	}
}

func TestRenamingAMachine(t *testing.T) {
	t.Parallel()
	r := start(t)
	ctx := t.Context()
	for _, name := range []string{"m1", "m2"} {
		if err := r.c.Post(ctx, "machines", json.RawMessage(`{"Name":"`+name+`"}`), nil); err != nil {
			t.Fatal(err)
		}
	}
	rename := func(from, to string) error {
		return r.c.Patch(ctx, "machines/Name:"+from, json.RawMessage(`[{"op":"replace","path":"/Name","value":"`+to+`"}]`), nil)
	}
	wantError(t, rename("m1", "m2"), model.Conflict, "already exists", "m2")
	if err := errors.Join(rename("m1", "m3"), rename("m2", "m1")); err != nil {
		t.Error(err)
	}
	wantError(t, r.c.Patch(ctx, "machines/Name:m1", json.RawMessage(`[{"op":"replace","path":"/Uuid","value":"x"}]`), nil), model.Invalid, "cannot change the key")
}

func TestWhatIsNeededIsNotDeleted(t *testing.T) {
	t.Parallel()
	r := start(t)
	ctx := t.Context()
	if err := errors.Join(
		r.c.Post(ctx, "profiles", json.RawMessage(`{"Name":"rack1"}`), nil),
		r.c.Post(ctx, "machines", json.RawMessage(`{"Name":"m1","Profiles":["rack1"],"Locked":true}`), nil)); err != nil {
		t.Fatal(err)
	}
	wantError(t, r.c.Delete(ctx, "profiles/rack1", nil), model.Conflict, "profiles/rack1", "m1")
	wantError(t, r.c.Delete(ctx, "profiles/global", nil), model.Conflict, "global")
	wantError(t, r.c.Delete(ctx, "machines/Name:m1", nil), model.Conflict, "Locked")
	if err := errors.Join(
		r.c.Patch(ctx, "machines/Name:m1", json.RawMessage(`[{"op":"replace","path":"/Locked","value":false}]`), nil),
		r.c.Delete(ctx, "machines/Name:m1", nil), r.c.Delete(ctx, "profiles/rack1", nil)); err != nil {
		t.Error(err)
	}
}

// A machine that is deleted while an action on it is asked for is either gone,
// and has no run, or stays.
func TestADeleteBesideANewRun(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.put("hold", "")
	for i := range 5 {
		name := fmt.Sprint("m", i)
		uuid := r.machine(name, nil)
		unlock := r.e.objects.locks.lock("machines", uuid, "the test")
		acted, deleted := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := r.act(name, "powercycle", model.Params{"oob/wait": false})
			acted <- err
		}()
		go func() { deleted <- r.c.Delete(t.Context(), "machines/"+uuid, nil) }()
		eventually(t, "both waiting for the machine", func() bool {
			r.e.objects.locks.mu.Lock()
			defer r.e.objects.locks.mu.Unlock()
			return r.e.objects.locks.held["machines."+uuid].users == 3
		})
		unlock()
		actErr, deleteErr := <-acted, <-deleted
		if (actErr == nil) == (deleteErr == nil) {
			t.Fatalf("action: %v, delete: %v; want one of them refused", actErr, deleteErr)
		}
		if actErr != nil {
			wantError(t, actErr, model.NotFound, uuid)
		} else {
			wantError(t, deleteErr, model.Conflict, "powercycle", "it ends by 20")
		}
		if live := r.e.runs.Live("machines", uuid); (live != nil) != (actErr == nil) {
			t.Errorf("live run %+v after %v", live, actErr)
		}
	}
	r.put("go", "")
}

func TestUnknownIndex(t *testing.T) {
	t.Parallel()
	r := start(t)
	wantError(t, r.c.Get(t.Context(), "machines/Address:x", nil), model.Invalid, "Address", "no such index")
	if err := r.c.Get(t.Context(), "profiles/Name:global", nil); err != nil {
		t.Error(err)
	}
}

func FuzzPatch(f *testing.F) {
	for _, p := range []string{
		`[{"op":"test","path":"/Name","from":"","value":"m1"}]`, `[{"op":"remove","path":"/Params/a~1b"}]`,
		`[{"op":"copy","from":"/Params","path":"/Params/x"}]`, `[{"op":"move","from":"","path":"/x"}]`, `[{}]`, `null`, `[null]`, `{"op":1}`,
		`[{"op":"add","path":"","value":null}]`, `[{"op":"test","path":""}]`, `[{"op":"test","path":"","value":null}]`, `[{"op":"add","path":"/Profiles/-","value":1}]`, `[{"op":"test","path":"/Params/-1","value":null}]`,
	} {
		f.Add(p)
	}
	document := []byte(`{"Name":"m1","Params":{"a/b":1},"Profiles":[]}`)
	f.Fuzz(func(t *testing.T, patch string) {
		out, err := applyPatch(document, []byte(patch))
		if err == nil && !json.Valid(out) {
			t.Errorf("%q made %q", patch, out)
		}
		if err != nil && model.KindOf(err) == model.Internal {
			t.Errorf("%q: %v", patch, err)
		}
	})
}
