package store

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// TestWhatWasDeletedStaysSoAfterCrashes deletes an object, starts again, and
// crashes: a copy of the directory of a running store is what a crash leaves.
func TestWhatWasDeletedStaysSoAfterCrashes(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := open(t, dir)
	create(t, s, "a", "gone")
	create(t, s, "b", "kept")
	_, err := s.Delete(ctx, "machines", "a", 0)
	must(t, err)
	for range 3 {
		reopen(t, s, dir)
		crashed := filepath.Join(t.TempDir(), "crashed")
		must(t, os.CopyFS(crashed, os.DirFS(dir)))
		after := open(t, crashed)
		if list := after.List("machines"); len(list) != 1 || list[0].ID != "b" {
			t.Fatalf("after a crash there are %+v, want b alone", list)
		}
		if _, err := after.Create(ctx, machine("c", raw(`{"Name":"gone"}`)), named("gone")); err != nil {
			t.Errorf("the name of what was deleted is not free: %v", err)
		}
		dir, s = crashed, after
		_, err := s.Delete(ctx, "machines", "c", 0)
		must(t, err)
	}
}
