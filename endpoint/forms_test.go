package endpoint

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"testing"

	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// sealedLike has the form of a sealed value.
func sealedLike() map[string]any {
	text := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	return map[string]any{"Key": text(32), "Nonce": text(24), "Payload": text(40)}
}

// encodedMachine is a machine as it is stored, and as the view has it.
func encodedMachine(t *testing.T, m *model.Machine) *store.Object {
	t.Helper()
	raw, err := model.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return &store.Object{Prefix: "machines", ID: m.Uuid, Rev: 1, Value: raw, Note: &store.Note{}}
}

// TestFormsAreThoseOfTheMasks compares what is kept beside an object with what the
// masks make of it, for any mix of params, whichever is asked for first.
func TestFormsAreThoseOfTheMasks(t *testing.T) {
	t.Parallel()
	c, kinds := garage(t), newKinds()
	c.remember([]string{"bare"})
	k, o := kinds.get("machines"), &objects{cat: c, kinds: kinds}
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	values := []any{"text", 1, nil, sealedLike(), map[string]any{"password": "deep"}, []any{map[string]any{"token": "t"}, "x"}}
	names := []string{"bare", "car/key", "car/gear", "x/password", "note", "oob/timeout"}
	for i := range 400 {
		m := model.NewMachine("m" + strconv.Itoa(i))
		m.Uuid, m.Params = "id", model.Params{}
		for range rnd.IntN(4) {
			m.Params[names[rnd.IntN(len(names))]] = values[rnd.IntN(len(values))]
		}
		if rnd.IntN(4) == 0 {
			m.Secret = "boot-secret"
		}
		found := encodedMachine(t, m)
		wantShown, err := o.show(k, *found, false)
		if err != nil {
			t.Fatal(err)
		}
		hidden := k.fresh()
		if err := model.Unmarshal(found.Value, hidden); err != nil {
			t.Fatal(err)
		}
		c.hide(hidden)
		wantEvent, err := model.Marshal(hidden)
		if err != nil {
			t.Fatal(err)
		}
		decoded := k.fresh()
		if err := model.Unmarshal(found.Value, decoded); err != nil {
			t.Fatal(err)
		}
		switch rnd.IntN(3) { // what is known when it is stored or changed
		case 0:
			c.foresee(found, decoded)
		case 1:
			if shown, err := o.answerOf(k, found, decoded); err != nil || !bytes.Equal(shown, wantShown) {
				t.Fatalf("seed %d: %s is shown as %s (%v) for a change, want %s", seed, found.Value, shown, err, wantShown)
			}
		}
		if raw, err := model.Marshal(decoded); err != nil || !bytes.Equal(raw, found.Value) {
			t.Fatalf("seed %d: %s has become %s (%v)", seed, found.Value, raw, err)
		}
		for range 2 { // made, and as it was kept
			if rnd.IntN(2) == 0 {
				shown, err := o.answer(k, found, false)
				if err != nil || !bytes.Equal(shown, wantShown) {
					t.Fatalf("seed %d: %s is shown as %s (%v), want %s", seed, found.Value, shown, err, wantShown)
				}
			}
			if event, _ := c.maskedEvent(k, found).(json.RawMessage); !bytes.Equal(event, wantEvent) {
				t.Fatalf("seed %d: %s is %s in events, want %s", seed, found.Value, event, wantEvent)
			}
		}
	}
}

// TestFormsEndWithTheCatalog declares a param Secure that objects have already been
// shown with.
func TestFormsEndWithTheCatalog(t *testing.T) {
	t.Parallel()
	c, kinds := garage(t), newKinds()
	k, o := kinds.get("machines"), &objects{cat: c, kinds: kinds}
	m := model.NewMachine("m1")
	m.Uuid, m.Params = "id", model.Params{"later": "hush"}
	found := encodedMachine(t, m)
	look := func() (shown, event json.RawMessage) {
		shown, err := o.answer(k, found, false)
		if err != nil {
			t.Fatal(err)
		}
		event, _ = c.maskedEvent(k, found).(json.RawMessage)
		return shown, event
	}
	shown, event := look()
	if &shown[0] != &found.Value[0] || &event[0] != &found.Value[0] {
		t.Error("what is shown as it is stored takes room of its own")
	}
	c.remember([]string{"later"})
	shown, event = look()
	if bytes.Contains(shown, []byte("hush")) || bytes.Contains(event, []byte("hush")) {
		t.Errorf("a secret is shown: %s, %s", shown, event)
	}
}

// TestPatchLeavesTheDocument patches what others read at the same time.
func TestPatchLeavesTheDocument(t *testing.T) {
	t.Parallel()
	document := []byte(`{"a":{"b":[1,2,{"c":"d"}]},"e":"f"}`)
	before := bytes.Clone(document)
	for _, patch := range []string{
		`[{"op":"add","path":"/a/b/-","value":3},{"op":"remove","path":"/e"}]`, `[{"op":"replace","path":"/a/b/2/c","value":"x"}]`,
		`[{"op":"move","from":"/a/b","path":"/e"}]`, `[{"op":"copy","from":"/a","path":"/g"},{"op":"add","path":"/g/b/0","value":9}]`,
	} {
		if _, err := applyPatch(document, []byte(patch)); err != nil || !bytes.Equal(document, before) {
			t.Fatalf("%s: %v: the document is %s", patch, err, document)
		}
	}
}
