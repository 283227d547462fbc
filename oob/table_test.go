package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

func TestTable(t *testing.T) {
	var out bytes.Buffer
	rows := [][]string{{"NAME", "STATE", "NOTE"}, {"m1", "on", ""}, {"a-long-name", "", "\x1b[31mred\tand\nso on"}}
	if err := table(&out, rows); err != nil {
		t.Fatal(err)
	}
	want := "NAME         STATE  NOTE\nm1           on     -\na-long-name  -      ?[31mred and so on\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
	if err := table(brokenWriter{}, rows); model.KindOf(err) != model.Internal {
		t.Errorf("got %v", err)
	}
}

func TestDropEmpty(t *testing.T) {
	rows := dropEmpty([][]string{{"A", "B"}, {"1", ""}, {"2", ""}})
	if len(rows[0]) != 1 || len(rows[2]) != 1 {
		t.Errorf("got %q", rows)
	}
	rows = dropEmpty([][]string{{"A", "B"}, {"1", ""}, {"2", "x"}})
	if len(rows[0]) != 2 {
		t.Errorf("got %q", rows)
	}
}

func TestAge(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for ago, want := range map[time.Duration]string{
		0: "now", 900 * time.Millisecond: "now", -time.Hour: "now",
		time.Second: "1s ago", 59 * time.Second: "59s ago", time.Minute: "1m ago", 61 * time.Minute: "1h ago",
		47 * time.Hour: "1d ago", 2000 * time.Hour: "83d ago",
	} {
		if got := age(now, now.Add(-ago)); got != want {
			t.Errorf("age of %s = %q, want %q", ago, got, want)
		}
	}
	if got := age(now, time.Time{}); got != "never" {
		t.Errorf("got %q", got)
	}
	if got := stamp(time.Time{}); got != "-" {
		t.Errorf("got %q", got)
	}
}

func TestSeconds(t *testing.T) {
	for text, want := range map[string]string{
		"90": "90", "1.5": "1.5", "1m30s": "90", "250ms": "0.25", "24h": "86400", "100": "100", "0.001": "0.001",
	} {
		var s seconds
		if err := s.Set(text); err != nil || s.number().String() != want {
			t.Errorf("%s: got %s, %v; want %s", text, s.number(), err, want)
		}
	}
	for _, text := range []string{"", "soon", "-5", "0", "0.0004", "25h", "1e99", "NaN", "5 s", "1d"} {
		var s seconds
		if err := s.Set(text); err == nil {
			t.Errorf("%q is taken as %s", text, s.number())
		}
	}
}

func TestMatches(t *testing.T) {
	e := &model.Event{Type: "machines", Action: "power", Key: "a.b"}
	for pattern, want := range map[string]bool{
		"*.*.*": true, "machines.*.*": true, "machines.power.a.b": true, "machines": true, "machines.power": true,
		"runs,machines.create,power.*": true, "runs.*.*": false, "machines.create.*": false, "machines.power.a": false,
		"": false,
	} {
		if got := matches(pattern, e); got != want {
			t.Errorf("matches(%q) = %v", pattern, got)
		}
	}
}

func TestExitHelpListsEveryKind(t *testing.T) {
	help := exitHelp()
	for _, kind := range model.Kinds() {
		if !bytes.Contains([]byte(help), []byte(kind.Kind)) {
			t.Errorf("%s is missing in:\n%s", kind.Kind, help)
		}
	}
}

// FuzzSeconds sets the flag to whatever somebody types.
func FuzzSeconds(f *testing.F) {
	f.Add("90")
	f.Add("1m30s")
	f.Fuzz(func(t *testing.T, text string) {
		var s seconds
		if s.Set(text) == nil && (time.Duration(s) <= 0 || time.Duration(s) > longest) {
			t.Fatalf("%q is taken as %s", text, time.Duration(s))
		}
	})
}

func TestShortened(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "",
		"exactly twenty-four runes": "exactly twenty-four run…",
		"exactly 24 runes in this":  "exactly 24 runes in this",
		strings.Repeat("ü", 30):     strings.Repeat("ü", 23) + "…",
	} {
		if got := shortened(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}
