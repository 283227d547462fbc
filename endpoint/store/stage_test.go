package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// stagesOf are the folders in memory that a directory's streams point to.
func stagesOf(dir string) []string {
	var out []string
	for _, name := range streamNames {
		target, err := os.Readlink(filepath.Join(streamDir(dir, name), batchesName))
		if err == nil && strings.HasPrefix(target, filepath.Join(memoryDir, stagePrefix)) {
			out = append(out, filepath.Dir(target))
		}
	}
	return out
}

// Batches are gathered in memory while a store is open, nothing of that stays, and
// what a killed process has left goes with the next start.
func TestBatchesAreGatheredInMemory(t *testing.T) {
	if _, err := os.Stat(memoryDir); err != nil {
		t.Logf("nothing is shown: there is no file system in memory: %v", err)
		return
	}
	ctx := context.Background()
	dir := t.TempDir()
	s := open(t, dir)
	made := s.engine().stage
	if made == nil || len(stagesOf(dir)) != 2 || (&group{store: s}).worth() != groupFrom {
		t.Fatalf("batches are gathered on the disk: %v", stagesOf(dir))
	}
	if info, err := os.Stat(made.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("others may look into it: %v, %v", info.Mode(), err)
	}
	crashed := filepath.Join(t.TempDir(), "crashed")
	must(t, os.CopyFS(crashed, os.DirFS(dir)))
	var members []*member
	for i := range 2 * groupFrom {
		members = append(members, memberOf(s, string(rune('a'+i)), "{}", 0))
	}
	if !s.groups[recordsStream].together(members) {
		t.Error("no batch was written")
	}
	must(t, s.Close())
	if _, err := os.Stat(made.dir); err == nil || len(stagesOf(dir)) != 0 {
		t.Error("something is left after the end")
	}
	// The copy is what a kill leaves; its links lead to what another one has.
	left, err := os.MkdirTemp(memoryDir, stagePrefix)
	must(t, err)
	must(t, os.Mkdir(filepath.Join(left, bucketName), 0o700))
	link := filepath.Join(streamDir(crashed, bucketName), batchesName)
	must(t, os.RemoveAll(link))
	must(t, os.Symlink(filepath.Join(left, bucketName), link))
	after := open(t, crashed)
	if _, err := os.Stat(left); err == nil {
		t.Error("what a killed process left is still there")
	}
	if _, err := after.LastRecord(ctx, "machines", "a"); err != nil {
		t.Error(err)
	}
}

// Without a file system in memory batches are gathered on the disk.
func TestBatchesAreGatheredOnTheDisk(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := open(t, dir)
	must(t, s.engine().stage.remove(dir))
	s.engine().stage = nil
	if st, err := newStage(dir, filepath.Join(dir, "none"), diskSpace); st != nil || err != nil {
		t.Errorf("%v, %v", st, err)
	}
	if (&group{store: s}).worth() != groupFromDisk {
		t.Error("a group is worth as little as in memory")
	}
	var writers sync.WaitGroup
	for i := range 2 * groupFromDisk {
		writers.Go(func() {
			if _, err := s.PutRecord(ctx, Record{Prefix: "machines", ID: string(rune('A' + i)), Data: []byte("{}")}); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
}

// A folder that cannot be used is an error, and leaves nothing.
func TestStageThatCannotBe(t *testing.T) {
	memory := t.TempDir()
	if _, err := newStage(filepath.Join(memory, "no store here"), memory, roomy); err == nil {
		t.Error("linked into no store")
	}
	if entries, err := os.ReadDir(memory); err != nil || len(entries) != 0 {
		t.Errorf("%v are left, %v", entries, err)
	}
}

// roomy says that there is room.
func roomy(string) (Space, error) { return Space{Free: stageRoom, Size: stageRoom}, nil }

// TestStageWithoutRoom has next to nothing left in memory: a batch that ends in the
// middle for want of room costs a start of the engine.
func TestStageWithoutRoom(t *testing.T) {
	memory, dir := t.TempDir(), t.TempDir()
	s := open(t, dir)
	must(t, s.engine().stage.remove(dir))
	s.engine().stage = nil
	for want, space := range map[string]func(string) (Space, error){
		"has 20 MiB left": func(string) (Space, error) { return Space{Free: 20 << 20}, nil },
		"no such disk":    func(string) (Space, error) { return Space{Free: stageRoom}, errors.New("no such disk") },
	} {
		st, err := newStage(dir, memory, space)
		if st != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, %v, want %s", st, err, want)
		}
	}
	if entries, err := os.ReadDir(memory); err != nil || len(entries) != 0 {
		t.Errorf("%v are left, %v", entries, err)
	}
	st, err := newStage(dir, memory, roomy)
	if st == nil || err != nil {
		t.Fatalf("%v, %v", st, err)
	}
	if info, err := os.Stat(st.dir); err != nil || info.Mode().Perm() != dirMode {
		t.Errorf("%v, %v: others may look into it", info, err)
	}
	must(t, st.remove(dir))
}

// A copy of the data directory of a store that is open, opened beside it, leaves the
// folder alone that both point to.
func TestACopyLeavesTheFolderOfTheOriginal(t *testing.T) {
	if _, err := os.Stat(memoryDir); err != nil {
		t.Logf("nothing is shown: there is no file system in memory: %v", err)
		return
	}
	dir, copied := t.TempDir(), filepath.Join(t.TempDir(), "copied")
	s := open(t, dir)
	create(t, s, "a", "one")
	must(t, os.CopyFS(copied, os.DirFS(dir)))
	for _, name := range []string{bucketName, recordsName} { // links, as cp -a copies them
		link := filepath.Join(streamDir(copied, name), batchesName)
		must(t, os.RemoveAll(link))
		must(t, os.Symlink(filepath.Join(s.engine().stage.dir, name), link))
	}
	other := open(t, copied)
	if other.engine().stage.dir == s.engine().stage.dir {
		t.Fatal("both have one folder")
	}
	for i, store := range []*Store{s, other, s} {
		var members []*member
		for n := range 2 * groupFrom {
			members = append(members, memberOf(store, string(rune('a'+n)), "{}", 0))
			members[n].subject += string(rune('0' + i))
		}
		if !store.groups[recordsStream].together(members) {
			t.Errorf("batch %d was not written together", i)
		}
		for _, m := range members {
			must(t, m.err)
		}
	}
	must(t, other.Close())
	if _, err := os.Stat(s.engine().stage.dir); err != nil {
		t.Errorf("the folder of the original is gone: %v", err)
	}
}

// A folder is removed once its process has ended, and one that is gone is no error.
func TestLeftFoldersAreRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "left")
	must(t, removeLeft(dir))
	must(t, os.Mkdir(dir, 0o700))
	lock, err := lockIn(dir)
	must(t, err)
	must(t, removeLeft(dir))
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("a folder in use was removed: %v", err)
	}
	must(t, unlock(lock))
	must(t, removeLeft(dir))
	if _, err := os.Stat(dir); err == nil {
		t.Error("a left folder is still there")
	}
}

// Of what is in memory the folders of stages are looked at that are this user's, and
// nothing that only bears such a name.
func TestStagesInMemory(t *testing.T) {
	memory := t.TempDir()
	want := filepath.Join(memory, stagePrefix+"1")
	must(t, os.Mkdir(want, 0o700))
	must(t, os.Mkdir(filepath.Join(memory, "other"), 0o700))
	must(t, os.WriteFile(filepath.Join(memory, stagePrefix+"2"), nil, 0o600))
	must(t, os.Symlink(t.TempDir(), filepath.Join(memory, stagePrefix+"3")))
	if os.Getuid() == 0 {
		theirs := filepath.Join(memory, stagePrefix+"4")
		must(t, os.Mkdir(theirs, 0o700))
		must(t, os.Chown(theirs, 65534, 65534))
	}
	if got := stagesIn(memory); len(got) != 1 || got[0] != want {
		t.Errorf("%v, want %s", got, want)
	}
	if got := stagesIn(filepath.Join(memory, "none")); len(got) != 0 {
		t.Errorf("%v are in a folder that is none", got)
	}
}

// What a killed process left whose data are gone, too, goes with the next start of
// any store.
func TestStagesOfDataThatAreGone(t *testing.T) {
	if _, err := os.Stat(memoryDir); err != nil {
		t.Logf("nothing is shown: there is no file system in memory: %v", err)
		return
	}
	left, err := claimStage(memoryDir)
	must(t, err)
	must(t, os.Mkdir(filepath.Join(left.dir, bucketName), 0o700))
	s := open(t, t.TempDir())
	if _, err := os.Stat(left.dir); err != nil {
		t.Errorf("that of a process that lives is gone: %v", err)
	}
	must(t, unlock(left.lock))
	reopen(t, s, s.opts.Dir)
	if _, err := os.Stat(left.dir); err == nil {
		t.Error("it is still there")
	}
}

// Others look for what was left while folders are made: nobody loses theirs.
func TestStagesAreMadeWhileOthersAreRemoved(t *testing.T) {
	memory := t.TempDir()
	stop := make(chan struct{})
	var cleaners, makers sync.WaitGroup
	for range 2 {
		cleaners.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for _, dir := range stagesIn(memory) {
					_ = removeLeft(dir) // another may remove it at the same time
				}
			}
		})
	}
	for range 4 {
		makers.Go(func() {
			for range 50 {
				st, err := claimStage(memory)
				if err != nil {
					t.Error(err)
					return
				}
				if err := os.Mkdir(filepath.Join(st.dir, bucketName), 0o700); err != nil || !st.held() {
					t.Errorf("a folder in use was removed: %v", err)
				}
				if err := st.remove(memory); err != nil {
					t.Error(err)
				}
			}
		})
	}
	makers.Wait()
	close(stop)
	cleaners.Wait()
}
