package runs

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"

	"provision-plugins/shared/model"
)

// noop answers at once.
func noop(context.Context) (json.RawMessage, error) {
	return json.RawMessage(`{"power":"on","outcome":"verified"}`), nil
}

// once runs one action on a machine from Submit to its durable end.
func once(b *testing.B, m *Manager, key string, n int64) {
	q := request(model.PowerCycle, nil)
	q.Key, q.Digest, q.Send = key, fmt.Sprint(n), noop
	ticket, err := m.Submit(context.Background(), q)
	if err != nil {
		b.Error(err)
		return
	}
	if _, err := ticket.Wait(context.Background()); err != nil {
		b.Error(err)
	}
}

func BenchmarkRun(b *testing.B) {
	r := newRig(b)
	n := int64(0)
	for b.Loop() {
		once(b, r.Manager, fmt.Sprint(n%1000), n)
		n++
	}
}

func BenchmarkRun64Machines(b *testing.B) {
	r := newRig(b)
	var next, n atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		key := fmt.Sprint(next.Add(1))
		for pb.Next() {
			once(b, r.Manager, key, n.Add(1))
		}
	})
}

func BenchmarkRefusedAsBusy(b *testing.B) {
	r := newRig(b)
	p := newPlugin()
	r.submit(request(model.PowerCycle, p))
	p.reached(b)
	q := request(model.PowerOff, p)
	for b.Loop() {
		if _, err := r.Submit(context.Background(), q); err == nil {
			b.Fatal("not refused")
		}
	}
}
