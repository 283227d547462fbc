package mux

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestQuestionsAsLines(t *testing.T) {
	for _, c := range []struct {
		line string
		q    asked
	}{
		{"1 0 {}", asked{1, 0, []byte("{}")}},
		{"7 4096 a b  c ", asked{7, 4096, []byte("a b  c ")}},
		{"8 3", asked{8, 3, nil}},
		{"9", asked{9, -1, nil}},
		{"9223372036854775808", asked{1 << 63, -1, nil}},
	} {
		got, err := parseAsked([]byte(c.line))
		if err != nil || got.id != c.q.id || got.slot != c.q.slot || !bytes.Equal(got.body, c.q.body) {
			t.Errorf("%q: %+v, %v", c.line, got, err)
		}
		if line := string(appendAsked(nil, c.q)); line != c.line+"\n" {
			t.Errorf("%+v is written as %q", c.q, line)
		}
	}
}

func TestLinesThatAreNoQuestions(t *testing.T) {
	for _, line := range []string{
		"", " ", "0", "0 1", "-1", "+1", "1 ", "1  {}", "01", "1 01", "1 0", "1 0 ", "1 1 ", "1 -1 {}", "1 4097", "1 4097 {}", "1 x {}", "x 1 {}", "1.0", "1e3", "{}",
		"9223372036854775809", "18446744073709551616", "99999999999999999999999999", "\x00", "1\t0 {}", "1 99999999999999999999 {}",
	} {
		if q, err := parseAsked([]byte(line)); err == nil {
			t.Errorf("%q is taken for %+v", line, q)
		}
	}
}

func TestAnswersAsLines(t *testing.T) {
	for _, c := range []struct {
		line string
		id   uint64
		a    Answer
	}{
		{`1 200 0 {"a": 1}`, 1, Answer{200, 0, []byte(`{"a": 1}`)}},
		{"2 503 10 ", 2, Answer{503, 10, nil}},
		{"3 599 2147483648  ", 3, Answer{599, 1 << 31, []byte(" ")}},
	} {
		id, got, err := parseAnswer([]byte(c.line))
		if err != nil || id != c.id || got.Status != c.a.Status || got.Retry != c.a.Retry || !bytes.Equal(got.Body, c.a.Body) {
			t.Errorf("%q: %d %+v, %v", c.line, id, got, err)
		}
		if line := string(appendAnswer(nil, c.id, c.a)); line != c.line+"\n" {
			t.Errorf("%+v is written as %q", c.a, line)
		}
	}
}

func TestLinesThatAreNoAnswers(t *testing.T) {
	for _, line := range []string{
		"", "1", "1 200", "1 200 0", "0 200 0 {}", "1 199 0 {}", "1 600 0 {}", "1 0200 0 {}", "1 200 -1 {}", "1 200 2147483649 {}", "1 2e2 0 {}", "x 200 0 {}",
		"HTTP/1.1 200 OK", "1 200  {}",
	} {
		if id, a, err := parseAnswer([]byte(line)); err == nil {
			t.Errorf("%q is taken for %d %+v", line, id, a)
		}
	}
}

func TestLinesOfAnyLength(t *testing.T) {
	long := strings.Repeat("x", 3*(64<<10)+17)
	in := newReader(iotest.HalfReader(strings.NewReader("a\n\n" + long + "\nb\n" + long + long + "\nrest")))
	for _, want := range []string{"a", "", long, "b", long + long} {
		if got, err := in.line(); err != nil || string(got) != want {
			t.Fatalf("a line of %d bytes for one of %d, %v", len(got), len(want), err)
		}
	}
	if line, err := in.line(); !errors.Is(err, io.EOF) {
		t.Errorf("half a line is %q, %v", line, err)
	}
}

// endless is a line that does not end.
type endless struct{}

// Read fills p.
func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestLinesAreBounded(t *testing.T) {
	in := newReader(endless{})
	if _, err := in.line(); err == nil || !strings.Contains(err.Error(), "longer than 16 MiB") {
		t.Errorf("got %v", err)
	}
	if cap(in.long) > 2*maxLine {
		t.Errorf("%d bytes are held", cap(in.long))
	}
}

func TestQuestionsAreChecked(t *testing.T) {
	for body, want := range map[string]string{"": "nothing is asked", "a\nb": "more than one line", strings.Repeat("x", MaxBody+1): "larger than 16 MiB"} {
		if _, err := NewQuestion([]byte(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.10q: %v", body, err)
		}
	}
	if q, err := NewQuestion([]byte("{}")); err != nil || string(q.Body()) != "{}" {
		t.Errorf("%v, %v", q, err)
	}
}

func FuzzParseAsked(f *testing.F) {
	for _, line := range []string{"1 0 {}", "1 7", "1", "", "1 0 ", "18446744073709551615 1", "1 4096 x"} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		q, err := parseAsked(line)
		if err != nil {
			return
		}
		if q.id == 0 || q.slot < -1 || q.slot > MaxSlots || q.slot <= 0 && q.slot != -1 && q.body == nil {
			t.Errorf("%q: %+v", line, q)
		}
		if back := appendAsked(nil, q); string(back) != string(line)+"\n" {
			t.Errorf("%q is written as %q", line, back)
		}
	})
}

func FuzzParseAnswer(f *testing.F) {
	for _, line := range []string{"1 200 0 {}", "1 503 7 ", "1 200 0", "0 200 0 x", "1 20 0 x"} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		id, a, err := parseAnswer(line)
		if err != nil {
			return
		}
		if id == 0 || a.Status < 200 || a.Status > 599 || a.Retry < 0 {
			t.Errorf("%q: %d %+v", line, id, a)
		}
		if back := appendAnswer(nil, id, a); string(back) != string(line)+"\n" {
			t.Errorf("%q is written as %q", line, back)
		}
	})
}
