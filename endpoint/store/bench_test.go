package store

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// fleet fills a store with n machines of about 1 KB.
func fleet(b *testing.B, s *Store, n int) {
	b.Helper()
	pad := bytes.Repeat([]byte("x"), 900)
	var writers sync.WaitGroup
	for w := range 32 {
		writers.Go(func() {
			for i := w; i < n; i += 32 {
				name := fmt.Sprintf("m%05d", i)
				o := machine(name, raw(`{"Name":%q,"Rack":%d,"Pad":"%s"}`, name, i%40, pad))
				if _, err := s.Create(context.Background(), o, named(name)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
}

func BenchmarkObjectCreate(b *testing.B) {
	s := open(b, b.TempDir())
	n := 0
	for b.Loop() {
		create(b, s, fmt.Sprint(n), fmt.Sprint(n))
		n++
	}
}

func BenchmarkObjectUpdate(b *testing.B) {
	s := open(b, b.TempDir())
	o := create(b, s, "a", "n")
	for b.Loop() {
		var err error
		if o, err = s.Update(context.Background(), o, named("n")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkObjectUpdate64Writers(b *testing.B) {
	s := open(b, b.TempDir())
	var next atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		id := fmt.Sprint(next.Add(1))
		o := create(b, s, id, id)
		for pb.Next() {
			var err error
			if o, err = s.Update(context.Background(), o, named(id)); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkList10000(b *testing.B) {
	s := open(b, b.TempDir())
	fleet(b, s, 10_000)
	for b.Loop() {
		if len(s.List("machines")) != 10_000 {
			b.Fatal("objects are missing")
		}
	}
}

func BenchmarkFilter10000(b *testing.B) {
	s := open(b, b.TempDir())
	fleet(b, s, 10_000)
	for b.Loop() {
		n := 0
		for _, o := range s.List("machines") {
			if bytes.Contains(o.Value, []byte(`"Rack":7,`)) {
				n++
			}
		}
		if n != 250 {
			b.Fatal(n)
		}
	}
}

func BenchmarkFind10000(b *testing.B) {
	s := open(b, b.TempDir())
	fleet(b, s, 10_000)
	for b.Loop() {
		if _, err := s.Find("machines", "Name", "m04711"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{0, 64, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := b.TempDir()
			s := open(b, dir)
			fleet(b, s, n)
			must(b, s.Close())
			for b.Loop() {
				s, err := Open(context.Background(), Options{Dir: dir})
				must(b, err)
				b.StopTimer()
				must(b, s.Close())
				b.StartTimer()
			}
		})
	}
}
