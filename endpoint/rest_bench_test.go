package endpoint

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// keptCaller is a client of the https API that keeps its connection.
type keptCaller struct {
	client *http.Client
	base   string
	token  string
}

// newCaller makes one for an endpoint.
func (r *rig) newCaller() *keptCaller {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	r.t.Cleanup(transport.CloseIdleConnections)
	return &keptCaller{&http.Client{Transport: transport}, "https://" + r.e.Addr() + apiRoot, r.e.token}
}

// get reads a path to its end and returns how many bytes came.
func (c *keptCaller) get(ctx context.Context, path string) (*http.Response, int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, resp.Status)
	}
	return resp, n, err
}

// percentiles reports the median and the 99th percentile of durations.
func percentiles(b *testing.B, all []time.Duration) {
	b.Helper()
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-us")
}

// manyMachines fills the store with machines, without the API.
func (r *rig) manyMachines(n int) {
	r.t.Helper()
	var writers sync.WaitGroup
	for w := range 64 {
		writers.Go(func() {
			for i := w; i < n; i += 64 {
				m := model.NewMachine("m" + strconv.Itoa(i))
				m.Uuid, m.Description = newUUID(), strings.Repeat("d", 100)
				m.Params = model.Params{"rack": "r" + strconv.Itoa(i%100), "unit": i, "ipmi/address": "192.0.2.1", "ipmi/username": "admin"}
				raw, err := model.Marshal(m)
				if err == nil {
					_, err = r.e.store.Create(context.Background(), store.Object{Prefix: "machines", ID: m.Uuid, Value: raw}, uniqueOf(m))
				}
				if err != nil {
					r.t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
}

// BenchmarkPointGet reads one machine by its key, over https.
func BenchmarkPointGet(b *testing.B) {
	r := start(b)
	r.manyMachines(100)
	c := r.newCaller()
	var all []time.Duration
	for b.Loop() {
		began := time.Now()
		if _, _, err := c.get(b.Context(), "/machines/Name:m7"); err != nil {
			b.Fatal(err)
		}
		all = append(all, time.Since(began))
	}
	percentiles(b, all)
}

// BenchmarkFilteredList reads the 1,000 machines of one rack among 100,000, over
// https: while nothing else happens, and with a machine changed before each list.
func BenchmarkFilteredList(b *testing.B) {
	r := start(b)
	r.manyMachines(100_000)
	c := r.newCaller()
	for _, busy := range []bool{false, true} {
		name := map[bool]string{false: "quiet", true: "changing"}[busy]
		b.Run(name, func(b *testing.B) {
			if err := warm(b.Context(), c); err != nil {
				b.Fatal(err)
			}
			var all []time.Duration
			for b.Loop() {
				rack := len(all) % 100
				if busy {
					b.StopTimer()
					path := "machines/Name:m" + strconv.Itoa(rack+1_000) + "/params/seen"
					if err := r.c.Post(b.Context(), path, len(all), nil); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
				began := time.Now()
				resp, _, err := c.get(b.Context(), "/machines?rack=Eq(r"+strconv.Itoa(rack)+")")
				if err != nil || resp.Header.Get("X-Drp-List-Filter-Count") != "1000" {
					b.Fatalf("%v, %v", resp, err)
				}
				all = append(all, time.Since(began))
			}
			percentiles(b, all)
		})
	}
}

// warm asks for every rack once, as a console does that shows them all.
func warm(ctx context.Context, c *keptCaller) error {
	for i := range 100 {
		if _, _, err := c.get(ctx, "/machines?rack=Eq(r"+strconv.Itoa(i)+")"); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkFirstList reads the machines of one rack among 10,000 for the first
// time.
func BenchmarkFirstList(b *testing.B) {
	r := start(b)
	r.manyMachines(10_000)
	c := r.newCaller()
	for b.Loop() {
		r.e.objects.cat.epoch.Add(1) // as if the content had changed
		if _, _, err := c.get(b.Context(), "/machines?rack=Eq(r7)"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFanOut carries one event to 1,000 subscribers.
func BenchmarkFanOut(b *testing.B) {
	r := start(b)
	const subscribers = 1_000
	var seen sync.WaitGroup
	var readers sync.WaitGroup
	conns := make([]*websocket.Conn, subscribers)
	for i := range conns {
		conns[i] = r.dial()
		if err := conns[i].WriteMessage(websocket.TextMessage, []byte("register bench.*.*")); err != nil {
			b.Fatal(err)
		}
		if _, _, err := conns[i].ReadMessage(); err != nil {
			b.Fatal(err)
		}
		readers.Go(func() {
			for {
				if _, _, err := conns[i].ReadMessage(); err != nil {
					return
				}
				seen.Done()
			}
		})
	}
	event := &model.Event{Type: "bench", Action: "x", Key: "y", Principal: "bench", Object: map[string]string{"Name": "m1"}}
	var all []time.Duration
	for b.Loop() {
		seen.Add(subscribers)
		began := time.Now()
		r.e.hub.Publish(event)
		seen.Wait()
		all = append(all, time.Since(began))
	}
	percentiles(b, all)
	for _, c := range conns {
		if err := c.Close(); err != nil {
			b.Error(err)
		}
	}
	readers.Wait()
}
