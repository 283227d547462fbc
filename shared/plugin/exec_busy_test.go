package plugin

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// A binary that somebody holds open for writing is waited for, within the bound.
func TestABinaryThatIsStillBeingWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "busy")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	// Plugins of other tests, which listen in this process, change its umask.
	if err := f.Chmod(0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("#!/bin/sh\necho '{\"Name\":\"busy\",\"PluginVersion\":4}'\n"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = Define(ctx, Exec{Path: path})
	checkError(t, err, model.Timeout, "did not end within")
	go func() {
		<-time.After(20 * time.Millisecond)
		_ = f.Close() // what was written is there already
	}()
	def, err := Define(t.Context(), Exec{Path: path})
	if err != nil || def.Name != "busy" {
		t.Errorf("%+v, %v", def, err)
	}
}
