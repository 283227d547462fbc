package recent

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// yes holds always.
func yes(int) bool { return true }

func TestBookKeepsByObjectAndQuestion(t *testing.T) {
	var b Book[int]
	defer b.Close()
	b.Put(Key{"m1", "a"}, 1)
	b.Put(Key{"m1", "b"}, 2)
	b.Put(Key{"m2", "a"}, 3)
	for k, want := range map[Key]int{{"m1", "a"}: 1, {"m1", "b"}: 2, {"m2", "a"}: 3} {
		if got, ok := b.Get(k, yes); !ok || got != want {
			t.Errorf("%v: %d, %v", k, got, ok)
		}
	}
	if _, ok := b.Get(Key{"m2", "b"}, yes); ok {
		t.Error("something is kept that was not put")
	}
	b.Put(Key{"m1", "a"}, 4)
	if got, _ := b.Get(Key{"m1", "a"}, yes); got != 4 {
		t.Errorf("got %d", got)
	}
}

func TestBookForgetsWhatDoesNotHold(t *testing.T) {
	var b Book[int]
	defer b.Close()
	k := Key{"m1", "a"}
	b.Put(k, 1)
	if _, ok := b.Get(k, func(v int) bool { return v != 1 }); ok {
		t.Error("it is taken although it does not hold")
	}
	if _, ok := b.Get(k, yes); ok {
		t.Error("it is kept although it did not hold")
	}
}

// What is not asked for is forgotten within a minute or so, secrets and all.
func TestBookForgetsWhatIsNotAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Book[int]
		old, asked := Key{"old", "a"}, Key{"asked", "a"}
		b.Put(old, 1)
		b.Put(asked, 2)
		<-time.After(For / 2)
		if _, ok := b.Get(asked, yes); !ok {
			t.Error("forgotten too soon")
		}
		<-time.After(For/2 + time.Second)
		b.mu.Lock()
		if len(b.pages) != 1 || b.pages[asked] == nil {
			t.Errorf("%d are kept", len(b.pages))
		}
		b.mu.Unlock()
		<-time.After(For)
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.pages) != 0 || b.sweep != nil {
			t.Errorf("%d are kept, and looked at again: %v", len(b.pages), b.sweep != nil)
		}
	})
}

func TestBookIsBounded(t *testing.T) {
	var b Book[int]
	for i := range Max + 10 {
		b.Put(Key{"m" + strconv.Itoa(i), ""}, i)
	}
	if len(b.pages) != Max {
		t.Errorf("%d are kept", len(b.pages))
	}
	if got, ok := b.Get(Key{"m0", ""}, yes); !ok || got != 0 {
		t.Error("a full book lost something")
	}
	b.Put(Key{"m0", ""}, 7)
	if got, _ := b.Get(Key{"m0", ""}, yes); got != 7 {
		t.Error("a full book keeps what was there before")
	}
	b.Close()
	if _, ok := b.Get(Key{"m0", ""}, yes); ok || b.sweep != nil {
		t.Error("something is kept after the end")
	}
}
