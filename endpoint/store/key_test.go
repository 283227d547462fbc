package store

import (
	"context"
	"testing"
)

// The key beside a value is kept with it: over updates of the value, and over a
// restart.
func TestKeyIsKeptBesideTheValue(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	s := open(t, dir)
	o := machine("m1", raw(`{"Name":"n1"}`))
	o.Key = []byte{0, 1, 255}
	made, err := s.Create(ctx, o, named("n1"))
	must(t, err)
	made.Value = raw(`{"Name":"n2"}`)
	_, err = s.Update(ctx, made, named("n2"))
	must(t, err)
	create(t, s, "m2", "other")
	s = reopen(t, s, dir)
	for id, want := range map[string]string{"m1": "\x00\x01\xff", "m2": ""} {
		if got, err := s.Get("machines", id); err != nil || string(got.Key) != want {
			t.Errorf("%s: key %x, %v, want %x", id, got.Key, err, want)
		}
	}
}
