package sweep

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience and most are those of the tests.
const (
	patience = 100 * time.Millisecond
	most     = 4096
)

// crowd is what is asked in tests: some machines answer when they are
// told, the others at once.
type crowd struct {
	silent  int32 // the first so many
	free    chan struct{}
	begun   atomic.Int32
	atWork  atomic.Int32
	highest atomic.Int32
}

// ask asks a machine.
func (c *crowd) ask(key string) []byte {
	now := c.atWork.Add(1)
	defer c.atWork.Add(-1)
	for high := c.highest.Load(); now > high && !c.highest.CompareAndSwap(high, now); high = c.highest.Load() {
	}
	if c.begun.Add(1) <= c.silent {
		<-c.free
	}
	return []byte(key)
}

// start asks so many machines.
func (c *crowd) start(ctx context.Context, parallel, count int) <-chan []byte {
	lines := make(chan []byte)
	go func() {
		defer close(lines)
		s := Sweep[string]{Parallel: parallel, Patience: patience, Most: most, Ask: c.ask}
		s.Run(ctx, make([]string, count), lines)
	}()
	return lines
}

func TestItemsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{}
		n := 0
		for range c.start(t.Context(), 3, 100) {
			n++
		}
		if high := c.highest.Load(); n != 100 || high > 3 {
			t.Errorf("%d answers, %d at once", n, high)
		}
	})
}

// Machines that are silent give up their places, so that the others are answered
// meanwhile.
func TestSlowItemsGiveUpTheirPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{silent: 4, free: make(chan struct{})}
		began := time.Now()
		lines := c.start(t.Context(), 2, 20)
		for range 16 {
			<-lines
		}
		if took := time.Since(began); took > 2*patience {
			t.Errorf("the others took %v", took)
		}
		close(c.free)
		left := 0
		for range lines {
			left++
		}
		if left != 4 {
			t.Errorf("%d of the silent ones answered", left)
		}
	})
}

// However many are silent, no more than the bound are at work.
func TestSlowItemsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{silent: 2 * most, free: make(chan struct{})}
		lines := c.start(t.Context(), most/2, 2*most)
		<-time.After(time.Minute) // of the bubble
		synctest.Wait()
		if n := c.atWork.Load(); n != most {
			t.Errorf("%d at work", n)
		}
		close(c.free)
		n := 0
		for range lines {
			n++
		}
		if n != 2*most {
			t.Errorf("%d answers", n)
		}
	})
}

// Each item is worked on once, and what comes of it sent.
func TestEachItemOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		items := make([]int, 1000)
		for i := range items {
			items[i] = i
		}
		answers := make(chan []byte)
		go func() {
			defer close(answers)
			s := Sweep[int]{Parallel: 7, Patience: patience, Most: 9, Ask: func(i int) []byte {
				if i%10 == 0 {
					<-time.After(3 * patience)
				}
				return strconv.AppendInt(nil, int64(i), 10)
			}}
			s.Run(t.Context(), items, answers)
		}()
		seen := map[string]int{}
		for a := range answers {
			seen[string(a)]++
		}
		for i := range items {
			if n := seen[strconv.Itoa(i)]; n != 1 {
				t.Errorf("%d is answered %d times", i, n)
			}
		}
	})
}

func TestNoItems(t *testing.T) {
	Sweep[int]{Parallel: 1, Most: 1}.Run(t.Context(), nil, nil)
}

// Those that gave up their places go on in places that become free, so that all
// places are taken again once nothing is slow any more.
func TestPlacesAreTakenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		var begun, atWork, highest atomic.Int32
		answers := make(chan []byte)
		go func() {
			defer close(answers)
			s := Sweep[int]{Parallel: 4, Patience: patience, Most: 6, Ask: func(i int) []byte {
				if i < 6 {
					begun.Add(1)
					<-free
					return nil
				}
				now := atWork.Add(1)
				defer atWork.Add(-1)
				for high := highest.Load(); now > high && !highest.CompareAndSwap(high, now); high = highest.Load() {
				}
				<-time.After(patience / 10)
				return nil
			}}
			items := make([]int, 46)
			for i := range items {
				items[i] = i
			}
			s.Run(t.Context(), items, answers)
		}()
		<-time.After(time.Second) // all that may be at work are slow
		synctest.Wait()
		if n := begun.Load(); n != 6 {
			t.Errorf("%d at work", n)
		}
		close(free)
		began := time.Now()
		for range answers {
		}
		// Four places, ten items each.
		if took := time.Since(began); highest.Load() != 4 || took > patience+patience/2 {
			t.Errorf("%d at once, and it took %v", highest.Load(), took)
		}
	})
}

// After the end nothing is begun, and Run returns when what is at work has ended.
func TestTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{silent: 3, free: make(chan struct{})}
		ctx, end := context.WithCancel(t.Context())
		answers := c.start(ctx, 2, 100)
		synctest.Wait()
		end()
		<-time.After(10 * patience)
		synctest.Wait()
		select {
		case <-answers:
			t.Error("an answer, or the end, while two are at work")
		default:
		}
		close(c.free)
		for range answers {
		}
		if n := c.begun.Load(); n != 2 {
			t.Errorf("%d begun", n)
		}
	})
}
