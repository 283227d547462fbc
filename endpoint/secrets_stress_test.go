package endpoint

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/endpoint/secret"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// Many who ask for the key of one object, and set secrets on it, at once: there
// is one key, and nothing is lost.
func TestConcurrentSecrets(t *testing.T) {
	t.Parallel()
	const writers = 12
	r := start(t, "toy")
	r.wantStatus(201, "POST", "/profiles", r.e.token, `{"Name":"pr"}`)
	keys := make([]string, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			if err := r.c.Get(t.Context(), "profiles/pr/pubkey", &keys[i]); err != nil {
				t.Error(err)
			}
			path := fmt.Sprintf("profiles/pr/params/p%d-password", i)
			if err := r.c.Post(t.Context(), path, fmt.Sprint("secret number ", i), nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var params model.Params
	if err := model.Unmarshal(r.wantStatus(200, "GET", "/profiles/pr/params?decode=true", r.e.token, ""), &params); err != nil {
		t.Fatal(err)
	}
	for i, key := range keys {
		if key != keys[0] {
			t.Errorf("keys %s and %s", key, keys[0])
		}
		if got := params[fmt.Sprintf("p%d-password", i)]; got != fmt.Sprint("secret number ", i) {
			t.Errorf("secret %d is %v", i, got)
		}
	}
}

// A schema that changes while objects are written loses no write.
func TestSchemaChangesDuringWrites(t *testing.T) {
	t.Parallel()
	const machines, rounds = 6, 5
	r := start(t)
	r.wantStatus(201, "POST", "/contents", r.e.token, pack("site", "v1.0.0", "", colourParam(`{"type":"string"}`, false)))
	uuids := make([]string, machines)
	for i := range uuids {
		uuids[i] = r.machine(fmt.Sprint("m", i), model.Params{"site/colour": "red"})
	}
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { done <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, uuid := range uuids {
				patch := json.RawMessage(fmt.Sprintf(`[{"op":"replace","path":"/Description","from":"","value":"%d"}]`, n))
				if err := r.c.Patch(t.Context(), "machines/"+uuid, patch, nil); err != nil {
					t.Error(err)
					return
				}
			}
			n++
		}
	}()
	for i := range rounds {
		schema := fmt.Sprintf(`{"type":"string","maxLength":%d}`, 10+i)
		r.wantStatus(200, "PUT", "/contents/site", r.e.token, pack("site", "v1.0.0", "", colourParam(schema, i%2 == 0)))
	}
	close(stop)
	last := fmt.Sprint(<-done - 1)
	for _, uuid := range uuids {
		var m model.Machine
		if err := model.Unmarshal(r.wantStatus(200, "GET", "/machines/"+uuid+"?decode=true", r.e.token, ""), &m); err != nil || m.Description != last || m.Params["site/colour"] != "red" || !m.Available {
			t.Errorf("%s: %q, %v, %+v, %v", uuid, m.Description, m.Params, m.Validation, err)
		}
		if !r.isSealed("machines", uuid, "site/colour") {
			t.Errorf("%s is not sealed", uuid)
		}
	}
}

// A key that is damaged makes its object's secrets unreadable, says so in one
// line, and nothing else.
func TestDamagedKeyOfAnObject(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	one, two := r.machine("m1", nil), r.machine("m2", nil)
	found, err := r.e.store.Get("machines", one)
	if err != nil {
		t.Fatal(err)
	}
	found.Key = append([]byte(nil), found.Key...)
	found.Key[len(found.Key)-1] ^= 1
	if _, err := r.e.store.Update(t.Context(), found, map[string]string{"Name": "m1"}); err != nil {
		t.Fatal(err)
	}
	r.wantStatus(200, "GET", "/machines/"+one, r.e.token, "")
	for method, path := range map[string]string{"GET": "/machines/" + one + "?decode=true", "POST": "/machines/" + one + "/actions/poweron"} {
		var e model.Error
		raw := r.wantStatus(500, method, path, r.e.token, "{}")
		if err := model.Unmarshal(raw, &e); err != nil || !strings.Contains(e.Text(), "cannot open the key of machines/"+one) || strings.Contains(e.Text(), "\n") {
			t.Errorf("%s: %v: %s", method, err, raw)
		}
	}
	r.wantStatus(200, "POST", "/machines/"+two+"/actions/poweron", r.e.token, "{}")
	r.wantStatus(200, "DELETE", "/machines/"+one, r.e.token, "")
}

// The memory of open keys is bounded, and one that was forgotten opens again.
func TestVaultIsBounded(t *testing.T) {
	t.Parallel()
	m, err := secret.NewMaster(make([]byte, 32), "the test")
	if err != nil {
		t.Fatal(err)
	}
	v := newVault(m)
	first := store.Object{Prefix: "machines", ID: "first"}
	b, first, err := v.boxFor(first)
	if err != nil || len(first.Key) == 0 {
		t.Fatal(err)
	}
	for i := range maxBoxes + 10 {
		v.boxes[fmt.Sprint("filler ", i)] = b
	}
	again, err := v.box(first)
	if err != nil || string(again.Public()) != string(b.Public()) || len(v.boxes) > maxBoxes {
		t.Errorf("%d open, %v", len(v.boxes), err)
	}
	if none, err := v.box(store.Object{Prefix: "machines", ID: "none"}); none != nil || err != nil {
		t.Errorf("%v, %v", none, err)
	}
	if _, err := v.box(store.Object{Prefix: "machines", ID: "second", Key: []byte("another's key")}); err == nil {
		t.Error("nonsense opens")
	}
}

// Content that cannot be stored is not in use either.
func TestContentThatCannotBeStored(t *testing.T) {
	t.Parallel()
	r := start(t)
	large := pack("site", "v1.0.0", "", `"templates":{"big.tmpl":{"ID":"big.tmpl","Contents":"`+strings.Repeat("x", store.MaxValue)+`"}}`)
	if os.Getenv("OOB_NIGHTLY") != "" { // megabytes take the race detector long
		if raw := string(r.wantStatus(400, "POST", "/contents", r.e.token, large)); !strings.Contains(raw, "larger than") {
			t.Errorf("%.300s", raw)
		}
	}
	r.wantStatus(404, "GET", "/contents/site", r.e.token, "")
	r.wantStatus(404, "GET", "/templates/big.tmpl", r.e.token, "")
	small := pack("site", "v1.0.0", "", `"templates":{"big.tmpl":{"ID":"big.tmpl","Contents":"small"}}`)
	r.wantStatus(201, "POST", "/contents", r.e.token, small)
	if raw := string(r.wantStatus(400, "PUT", "/contents/site", r.e.token, large)); !strings.Contains(raw, "larger than") {
		t.Errorf("%.300s", raw)
	}
	if raw := string(r.wantStatus(200, "GET", "/templates/big.tmpl", r.e.token, "")); !strings.Contains(raw, "small") {
		t.Errorf("%.300s", raw)
	}
}

// The records of tokens that have expired are forgotten, and only those.
func TestExpiredTokensAreForgotten(t *testing.T) {
	t.Parallel()
	r, clock := startAt(t)
	r.user("ann", "viewer")
	for range 3 {
		r.login("ann", "?ttl=60")
	}
	kept := r.login("ann", "?ttl=86400")
	clock.move(time.Hour)
	r.login("ann", "?ttl=60")
	if n := len(r.e.store.List(tokensPrefix)); n != 2 {
		t.Errorf("%d records", n)
	}
	r.wantStatus(200, "GET", "/machines", kept, "")
}

// A user may not have tokens without end.
func TestTokensOfAUserAreBounded(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.user("ann", "viewer")
	user, err := r.e.access.user("ann")
	if err != nil {
		t.Fatal(err)
	}
	book := &tokenBook{store: r.e.store, log: r.e.log, now: r.e.now, signer: r.e.access.book.signer, limit: 3}
	for range 3 {
		if _, err := book.issue(context.Background(), wanted{user: user, life: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = book.issue(context.Background(), wanted{user: user, life: time.Hour})
	wantError(t, err, model.RateLimited, "user ann has 3 already", "revoke some")
	if err := book.revokeAll(context.Background(), "ann", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := book.issue(context.Background(), wanted{user: user, life: time.Hour}); err != nil {
		t.Error(err)
	}
}
