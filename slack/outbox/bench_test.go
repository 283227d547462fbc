package outbox

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// closedRoom is a Sender that nothing comes through.
type closedRoom struct{}

func (closedRoom) Send(context.Context, Delivery) (string, error) {
	return "", &Failure{Verdict: Later, All: true, Pause: time.Hour, Err: errors.New("closed")}
}

func (closedRoom) Find(context.Context, Delivery) (string, error) { return "", nil }

// BenchmarkPut is how long a message takes to be on disk, one by one and from
// many at once.
func BenchmarkPut(b *testing.B) {
	for _, parallel := range []int{1, 64} {
		b.Run(strconv.Itoa(parallel), func(b *testing.B) {
			box, err := Open(b.Context(), Options{Dir: b.TempDir(), Sender: closedRoom{}, MaxEntries: 1 << 30, MaxBytes: 1 << 40})
			if err != nil {
				b.Fatal(err)
			}
			var n atomic.Int64
			b.ReportAllocs()
			b.SetParallelism(max(parallel/runtime.GOMAXPROCS(0), 1))
			put := func() {
				if err := box.Put(Entry{Channel: "A", Message: quoted(strconv.FormatInt(n.Add(1), 10))}); err != nil {
					b.Error(err)
				}
			}
			if parallel == 1 {
				for b.Loop() {
					put()
				}
			} else {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						put()
					}
				})
			}
			b.StopTimer()
			over, cancel := context.WithCancel(b.Context())
			cancel()
			if _, err := box.Close(over); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkWaiting is what a hundred thousand messages that wait take of memory,
// and how long the next process takes to read them.
func BenchmarkWaiting(b *testing.B) {
	const waiting = 100_000
	dir := b.TempDir()
	s := newState()
	j, _, err := openJournal(dir, s)
	if err != nil {
		b.Fatal(err)
	}
	s.file = j.file
	for i := range waiting {
		line := []byte(`{"op":"put","entry":{"id":"` + strconv.Itoa(i) + `","channel":"C` + strconv.Itoa(i%7) + `","kind":"post","message":{"text":":white_check_mark: rack1n07 powercycle: verified; off at 0.3s, on at 1.1s (admin, 1.4s)"},"created":"2026-11-20T00:00:00Z"}}`)
		if _, err := j.file.WriteAt(seal(line), j.size); err != nil {
			b.Fatal(err)
		}
		j.size += int64(len(seal(line)))
	}
	if err := j.close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		again := newState()
		j, _, err := openJournal(dir, again)
		if err != nil || len(again.items) != waiting {
			b.Fatalf("%d entries, %v", len(again.items), err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB")
		if err := j.close(); err != nil {
			b.Fatal(err)
		}
	}
}
