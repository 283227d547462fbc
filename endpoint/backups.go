package endpoint

import (
	"context"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"provision-plugins/endpoint/backup"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

const (
	backupPath = "/backup"
	// backupTime bounds the sending of a snapshot.
	backupTime = time.Hour
	// defaultKeep is how many of the daily snapshots are kept.
	defaultKeep = 7
	// actKey is the action of a claim: have the master key.
	actKey = "key"
)

// snapshotSource is what snapshots are taken of, without the master key.
func (e *Endpoint) snapshotSource() backup.Source {
	return backup.Source{Store: e.store, Site: e.opts.Site, Version: e.opts.Version, KeyID: e.master.ID(), Now: e.now}
}

// keeper keeps snapshots in the folder of the options.
func (e *Endpoint) keeper(src backup.Source) *backup.Keeper {
	return &backup.Keeper{Source: src, Dir: e.opts.BackupDir, Keep: e.opts.BackupKeep, Logger: e.log.With("part", "backup")}
}

// startBackups has a snapshot taken every day.
func (e *Endpoint) startBackups(context.Context) error {
	if e.opts.BackupKeep < 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { e.keeper(e.snapshotSource()).Run(ctx) })
	e.down.push("the daily snapshot", stopQuick, func(context.Context) error {
		cancel()
		work.Wait()
		return nil
	})
	return nil
}

// beforeUpgrade keeps a snapshot of a store that is about to get another layout. It
// needs no master key: there is none yet.
func (e *Endpoint) beforeUpgrade(ctx context.Context, s *store.Store, _ int) error {
	if e.opts.BackupKeep < 0 {
		return nil
	}
	_, err := e.keeper(backup.Source{Store: s, Site: e.opts.Site, Version: e.opts.Version, Now: e.now}).Take(ctx)
	return err
}

// getBackup sends a snapshot, with ?key=true one that has the master key. One that
// breaks off lacks its last line, so that whoever reads it can tell.
func (a *api) getBackup(w http.ResponseWriter, r *http.Request) {
	src := a.snapshot()
	if r.URL.Query().Get("key") == "true" {
		if !allowed(r.Context(), "backup", actKey, "") {
			a.write(w, r, failure(model.Errorf(model.Forbidden, "Access Denied: %s may not: backup key", principal(r.Context()))))
			return
		}
		src.Key = a.master.Bytes()
	}
	out := &lateHeader{w: w}
	a.bounded(w, backupTime)
	if _, err := backup.Write(r.Context(), out, src); err != nil {
		if !out.begun {
			a.write(w, r, failure(err))
			return
		}
		a.log.Error("cannot send a snapshot to its end", "error", err)
	}
}

// lateHeader writes the header with the first bytes: until then it can still be
// that of a refusal.
type lateHeader struct {
	w     http.ResponseWriter
	begun bool
}

// Write writes on.
func (l *lateHeader) Write(p []byte) (int, error) {
	if !l.begun {
		l.begun = true
		h := l.w.Header()
		h.Set("Content-Type", "application/x-ndjson")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
	}
	return l.w.Write(p)
}

// setBackupDefaults fills in where and how many snapshots are kept.
func (o *Options) setBackupDefaults() {
	setDefault(&o.BackupDir, filepath.Join(o.DataDir, "backups"))
	if o.BackupKeep == 0 {
		o.BackupKeep = defaultKeep
	}
}
