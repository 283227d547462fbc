package mux

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// question makes a question of a text.
func question(t testing.TB, text string) *Question {
	t.Helper()
	q, err := NewQuestion([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestSlotsKeepWhatIsAskedAgain(t *testing.T) {
	var s slots
	now := time.Now()
	first, second := question(t, "a"), question(t, "a")
	if n, known := s.of(first, now); n != 1 || known {
		t.Errorf("slot %d, known %v", n, known)
	}
	// The same text of another question is another question.
	if n, known := s.of(second, now); n != 2 || known {
		t.Errorf("slot %d, known %v", n, known)
	}
	if n, known := s.of(first, now); n != 1 || !known {
		t.Errorf("slot %d, known %v", n, known)
	}
	s.drop(1)
	if n, known := s.of(first, now); known || n == 2 {
		t.Errorf("what was dropped is in slot %d, known %v", n, known)
	}
	s.drop(0)
	if n, _ := s.of(question(t, strings.Repeat("x", maxKept+1)), now); n != 0 {
		t.Errorf("a long one is in slot %d", n)
	}
}

// Slots that are full keep what they have as long as it is asked for.
func TestFullSlots(t *testing.T) {
	var s slots
	now := time.Now()
	var all []*Question
	for i := range MaxSlots {
		all = append(all, question(t, strconv.Itoa(i)))
		if n, known := s.of(all[i], now); n != i+1 || known {
			t.Fatalf("question %d is in slot %d, known %v", i, n, known)
		}
	}
	late := question(t, "late")
	for range 100 {
		if n, _ := s.of(late, now.Add(slotsFor-1)); n != 0 {
			t.Fatalf("slot %d is taken from a question that is asked", n)
		}
	}
	n, known := s.of(late, now.Add(slotsFor))
	if n == 0 || known || len(s.by) != MaxSlots {
		t.Errorf("slot %d, known %v, %d kept", n, known, len(s.by))
	}
	if again, known := s.of(all[n-1], now.Add(slotsFor)); known {
		t.Errorf("what was in slot %d is now known in %d", n, again)
	}
}
