package endpoint

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"provision-plugins/endpoint/backup"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// A backup has all that is stored and no secret in clear, goes on while others
// write, and is a line of the audit trail; the master key is in it only if asked.
func TestBackupOverTheAPI(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.askLocal("POST", "/machines", `{"Name":"m1","Uuid":"00000000-0000-4000-8000-000000000001","Params":{"ipmi/password":"hunter22"}}`)
	resp, raw := r.askLocal("GET", "/backup", "")
	head, counts, err := backup.Check(bytes.NewReader(raw))
	if err != nil || resp.StatusCode != 200 || counts.Objects == 0 || counts.Audit == 0 || head.MasterKey != r.e.master.ID() {
		t.Fatalf("%d: %+v, %+v, %v", resp.StatusCode, head, counts, err)
	}
	key := r.e.master.Bytes()
	if bytes.Contains(raw, []byte(`{"Master":`)) || !bytes.Contains(raw, []byte(`"Name":"m1"`)) {
		t.Error("the machine is missing, or the master key is not")
	}
	_, with := r.askLocal("GET", "/backup?key=true", "")
	if !bytes.Contains(with, []byte(`{"Master":`)) {
		t.Errorf("no master key of %d bytes", len(key))
	}
	_, trail := r.askLocal("GET", "/audit", "")
	if n := strings.Count(string(trail), `"/api/v3/backup"`); n != 2 {
		t.Errorf("%d lines of the audit trail", n)
	}
}

// What was backed up is there after a restore into an empty directory, secrets
// and all.
func TestRestoredEndpointHasItAll(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.askLocal("POST", "/params", `{"Name":"test/secret","Secure":true}`)
	r.askLocal("POST", "/machines", `{"Name":"m1","Uuid":"00000000-0000-4000-8000-000000000001","Params":{"test/secret":"hunter22"}}`)
	_, raw := r.askLocal("GET", "/backup?key=true", "")
	if bytes.Contains(raw, []byte("hunter22")) {
		t.Error("a secret is in clear")
	}
	path, dir := filepath.Join(t.TempDir(), "snapshot"), t.TempDir()
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Restore(context.Background(), path, backup.Target{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	again := newRig(t)
	again.opts.DataDir = dir
	again.start()
	if _, shown := again.askLocal("GET", "/machines/Name:m1/params/test/secret?decode=true", ""); string(bytes.TrimSpace(shown)) != `"hunter22"` {
		t.Errorf("the secret is %s", shown)
	}
	if _, verdict := again.askLocal("GET", "/audit/check", ""); bytes.Contains(verdict, []byte("Broken")) {
		t.Errorf("the audit trail: %s", verdict)
	}
}

// A snapshot is kept daily, the first at the start, and before an upgrade.
func TestSnapshotsAreKept(t *testing.T) {
	t.Parallel()
	r := start(t)
	dir := filepath.Join(r.e.opts.DataDir, "backups")
	eventually(t, "a snapshot", func() bool {
		files, _ := filepath.Glob(filepath.Join(dir, "oob-*.snapshot"))
		return len(files) == 1
	})
	s, err := store.Open(context.Background(), store.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := r.e.beforeUpgrade(context.Background(), s, 1); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "oob-*.snapshot")); len(files) != 2 {
		t.Errorf("after an upgrade: %v", files)
	}
	r.e.opts.BackupDir = filepath.Join(r.e.opts.DataDir, "lock") // a file
	if err := r.e.beforeUpgrade(context.Background(), s, 1); model.KindOf(err) != model.Invalid {
		t.Errorf("without a folder: %v", err)
	}
	r.e.opts.BackupKeep = -1
	if err := r.e.beforeUpgrade(context.Background(), s, 1); err != nil {
		t.Errorf("unwanted: %v", err)
	}
}
