package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// writeEnv makes the test binary write into the directory it names until it is
// killed, and say what was acknowledged.
const writeEnv = "STORE_TEST_WRITE"

// mebibyte is what images are measured in.
const mebibyte = 1 << 20

// writeUntilKilled is the other process of these tests: each of its writers owns a
// few objects and counts up in them.
func writeUntilKilled(dir string) int {
	ctx := context.Background()
	s, err := Open(ctx, Options{Dir: dir})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	var writers sync.WaitGroup
	for w := range 32 {
		writers.Go(func() {
			id := fmt.Sprint("w", w)
			var seq uint64
			o, err := s.Create(ctx, machine(id, raw(`{"N":0}`)), named(id))
			for n := 1; err == nil; n++ {
				o.Value = raw(`{"N":%d}`, n)
				if o, err = s.Update(ctx, o, named(id)); err == nil {
					fmt.Println("object", id, n)
					seq, err = s.PutRecord(ctx, Record{Prefix: "machines", ID: id, Seq: seq, Data: fmt.Appendf(nil, `{"N":%d}`, n)})
				}
				if err == nil {
					fmt.Println("record", id, n)
				}
			}
		})
	}
	writers.Wait()
	return 1
}

// image is a file with an ext4 file system.
type image struct {
	t    *testing.T
	path string
}

// newImage makes one, where root runs this on a machine that has what it takes.
func newImage(t *testing.T, size int64) *image {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a file system")
	}
	if _, err := os.Stat("/dev/loop-control"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("there are no loop devices")
	}
	i := &image{t, filepath.Join(t.TempDir(), "image")}
	must(t, os.WriteFile(i.path, nil, 0o600))
	must(t, os.Truncate(i.path, size))
	i.command("mkfs.ext4", "-q", "-F", i.path)
	return i
}

// command runs a command that must do.
func (i *image) command(name string, args ...string) {
	i.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		i.t.Fatalf("%s %s: %v: %s", name, args, err, out)
	}
}

// mount mounts it for the time of the test, or until the returned function is called.
func (i *image) mount() (dir string, unmount func()) {
	i.t.Helper()
	dir = i.t.TempDir()
	i.command("mount", "-o", "loop,errors=remount-ro", i.path, dir)
	unmount = sync.OnceFunc(func() { i.command("umount", dir) })
	i.t.Cleanup(unmount)
	return dir, unmount
}

// copied is the image as the power being cut now would leave it: what the file
// system has not written to its device is not in it.
func (i *image) copied() *image {
	i.t.Helper()
	cut := &image{i.t, filepath.Join(i.t.TempDir(), "cut")}
	i.command("cp", "--sparse=always", i.path, cut.path)
	return cut
}

// acks is what a writing process has said.
type acks struct {
	objects, records map[string]int
	n                int
}

// take takes a line.
func (a *acks) take(line string) {
	var what, id string
	var n int
	if _, err := fmt.Sscan(line, &what, &id, &n); err != nil {
		return // cut off
	}
	a.n++
	if what == "object" {
		a.objects[id] = n
	} else {
		a.records[id] = n
	}
}

// writeAndKill has another process write until it has said a number of things, and
// kills it.
func writeAndKill(t *testing.T, dir string, lines int) *acks {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), writeEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	a := &acks{objects: map[string]int{}, records: map[string]int{}}
	scanner := bufio.NewScanner(out)
	for n := 0; scanner.Scan(); n++ {
		if strings.HasPrefix(scanner.Text(), "error") {
			t.Error(scanner.Text())
		}
		a.take(scanner.Text())
		if n == lines {
			must(t, cmd.Process.Kill())
		}
	}
	_ = cmd.Wait() // it was killed
	return a
}

// lost counts what was acknowledged and is not in a directory's store.
func (a *acks) lost(t *testing.T, dir string) int {
	t.Helper()
	ctx := context.Background()
	s, err := Open(ctx, Options{Dir: dir})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	lost := 0
	number := func(data []byte) int {
		var v struct{ N int }
		must(t, model.Unmarshal(data, &v))
		return v.N
	}
	for id, n := range a.objects {
		if o, err := s.Find("machines", "Name", id); err != nil || number(o.Value) < n {
			lost++
			t.Errorf("object %s: %d was acknowledged, there is %s, %v", id, n, o.Value, err)
		}
	}
	for id, n := range a.records {
		if r, err := s.LastRecord(ctx, "machines", id); err != nil || number(r.Data) < n {
			lost++
			t.Errorf("record %s: %d was acknowledged, there is %s, %v", id, n, r.Data, err)
		}
	}
	return lost
}

// The process is killed at random moments: nothing that it acknowledged is lost.
func TestKill9LosesNothing(t *testing.T) {
	kills := 3
	if nightly() {
		kills = 200
	}
	rnd := rand.New(rand.NewPCG(3, 3))
	acked, lost := 0, 0
	for range kills {
		dir := t.TempDir()
		a := writeAndKill(t, dir, 64+rnd.IntN(2000))
		acked += a.n
		lost += a.lost(t, dir)
	}
	t.Logf("%d kills, %d writes acknowledged, %d lost", kills, acked, lost)
}

// The power is cut at random moments: nothing that was acknowledged is lost.
func TestPowerCutLosesNothing(t *testing.T) {
	if !nightly() {
		return
	}
	const rounds = 10
	i := newImage(t, 256*mebibyte)
	rnd := rand.New(rand.NewPCG(4, 4))
	acked, lost := 0, 0
	for round := range rounds {
		dir, unmount := i.mount()
		data := filepath.Join(dir, "data"+strconv.Itoa(round))
		a := writeAndKill(t, data, 64+rnd.IntN(4000))
		cut := i.copied()
		unmount()
		cutDir, unmountCut := cut.mount()
		acked += a.n
		lost += a.lost(t, filepath.Join(cutDir, filepath.Base(data)))
		unmountCut()
		must(t, os.Remove(cut.path))
	}
	t.Logf("%d power cuts, %d writes acknowledged, %d lost", rounds, acked, lost)
}

// fill fills a file system to the last byte; the returned function makes room again.
func fill(t *testing.T, dir string) (empty func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	must(t, err)
	block := make([]byte, 64<<10)
	for err == nil {
		_, err = f.Write(block)
	}
	for err = nil; err == nil; {
		_, err = f.Write(block[:1])
	}
	must(t, f.Close())
	return func() { must(t, os.Remove(path)) }
}

// Another program fills the disk while many write: new objects are refused with 507
// at once, reads go on, and when there is room again the store goes on by itself.
// Then the engine is run into a full disk, with nothing that warns it.
func TestFullDevice(t *testing.T) {
	if !nightly() {
		return
	}
	ctx := context.Background()
	for name, space := range map[string]func(string) (Space, error){
		"seen": nil, "not seen": func(string) (Space, error) { return Space{Free: 1 << 30, Size: 1 << 30}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			dir, unmount := newImage(t, 64*mebibyte).mount()
			data := filepath.Join(dir, "data")
			s, err := Open(ctx, Options{Dir: data, Space: space})
			must(t, err)
			o := create(t, s, "a", "n")
			var stop, slow atomic.Int64
			last := o.Rev
			var writer sync.WaitGroup
			var refused atomic.Int64
			writer.Go(func() {
				for n := 0; stop.Load() == 0; n++ {
					began := time.Now()
					now, err := s.Get("machines", "a")
					if err == nil {
						now.Value = raw(`{"N":%d,"Pad":%q}`, n, strings.Repeat("x", 5000))
						now, err = s.Update(ctx, now, named("n"))
					}
					slow.Store(max(slow.Load(), int64(time.Since(began))))
					if err == nil {
						last = now.Rev
					} else if model.AsError(err).Code == http.StatusInsufficientStorage {
						refused.Add(1)
					}
				}
			})
			empty := fill(t, dir)
			eventually(t, "a refusal", func() bool { return refused.Load() > 0 })
			began := time.Now()
			_, err = s.Create(ctx, machine("b", raw(`1`)), named("b"))
			if e := model.AsError(err); err == nil || e.Code != http.StatusInsufficientStorage {
				t.Errorf("a new object on a full disk: %v", err)
			}
			t.Logf("507 after %s", time.Since(began).Round(time.Millisecond))
			if _, err := s.Get("machines", "a"); err != nil {
				t.Errorf("a read: %v", err)
			}
			empty()
			began = time.Now()
			eventually(t, "a write", func() bool {
				_, err := s.Create(ctx, machine(fmt.Sprint("c", time.Now().UnixNano()), raw(`1`)), nil)
				return err == nil
			})
			back := time.Since(began)
			stop.Store(1)
			writer.Wait()
			t.Logf("room again: writes after %s; the slowest answer took %s", back.Round(time.Millisecond), time.Duration(slow.Load()).Round(time.Millisecond))
			if back > 10*time.Second {
				t.Errorf("it took %s", back)
			}
			must(t, s.Close())
			again, err := Open(ctx, Options{Dir: data})
			must(t, err)
			if got, err := again.Get("machines", "a"); err != nil || got.Rev < last {
				t.Errorf("revision %d, %d was acknowledged: %v", got.Rev, last, err)
			}
			must(t, again.Close())
			unmount()
		})
	}
}

// The file system finds itself damaged and becomes read-only: writes are refused at
// once, reads go on, and after a repair all that was acknowledged is there.
func TestDeviceThatBecomesReadOnly(t *testing.T) {
	if !nightly() {
		return
	}
	ctx := context.Background()
	i := newImage(t, 64*mebibyte)
	dir, unmount := i.mount()
	data := filepath.Join(dir, "data")
	s, err := Open(ctx, Options{Dir: data})
	must(t, err)
	o := create(t, s, "a", "n")
	source, err := exec.Command("findmnt", "-no", "SOURCE", dir).Output()
	must(t, err)
	trigger := filepath.Join("/sys/fs/ext4", filepath.Base(strings.TrimSpace(string(source))), "trigger_fs_error")
	if err := os.WriteFile(trigger, []byte("test\n"), 0o600); err != nil {
		must(t, s.Close())
		t.Skipf("this kernel cannot be told to fail: %v", err)
	}
	began := time.Now()
	o.Value = raw(`2`)
	_, err = s.Update(ctx, o, named("n"))
	wantKind(t, err, model.Internal)
	t.Logf("read-only: %v, after %s", err, time.Since(began).Round(time.Millisecond))
	eventually(t, "what is said of the store", func() bool { return s.Health().Err != nil })
	if e := model.AsError(s.Health().Err); e.Code != http.StatusServiceUnavailable {
		t.Errorf("health: %v (%d)", e, e.Code)
	}
	if got, err := s.Get("machines", "a"); err != nil || got.Rev != o.Rev {
		t.Errorf("a read: %v", err)
	}
	_ = s.Close() // it cannot write any more
	unmount()
	_ = exec.Command("fsck.ext4", "-y", i.path).Run() // it tells by its code that it has repaired
	dir, _ = i.mount()
	again, err := Open(ctx, Options{Dir: filepath.Join(dir, "data")})
	must(t, err)
	if got, err := again.Get("machines", "a"); err != nil || got.Rev < o.Rev {
		t.Errorf("after the repair: %+v, %v", got, err)
	}
	must(t, again.Close())
}
