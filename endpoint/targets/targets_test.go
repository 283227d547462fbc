package targets

import (
	"slices"
	"testing"
)

// values is a lookup in a map.
func values(m map[string]any) Lookup {
	return func(name string) (any, bool) {
		v, ok := m[name]
		return v, ok
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, `{}`: true, `{"a":["b"]}`: true, `{"a":"b"}`: false, `["a"]`: false, `{"a":[1]}`: false, "nonsense": false,
	} {
		if _, err := Parse(text); (err == nil) != want {
			t.Errorf("%q: %v", text, err)
		}
	}
	table, err := Parse(`{"b":["y"],"a":["x","x"]}`)
	if err != nil || !slices.Equal(table.Credentials(), []string{"a", "b"}) {
		t.Errorf("%v, %v", table, err)
	}
}

func TestAdd(t *testing.T) {
	table := Table{"a": {"x"}}
	table.Add(Table{"a": {"x", "y"}, "b": {"z"}})
	table.Add(nil)
	if !slices.Equal(table["a"], []string{"x", "y"}) || !slices.Equal(table["b"], []string{"z"}) {
		t.Errorf("%v", table)
	}
}

// What would send a stored credential elsewhere, and what would not.
func TestMoved(t *testing.T) {
	table := Table{"pw": {"addr", "port"}, "key": {"url"}}
	type m = map[string]any
	for name, c := range map[string]struct {
		before, after m
		set           []string
		shared        bool
		want          Move
	}{
		"nothing":                                {before: m{"pw": 1, "addr": "a"}, after: m{"pw": 1, "addr": "a"}},
		"another address":                        {before: m{"pw": 1, "addr": "a"}, after: m{"pw": 1, "addr": "b"}, want: Move{"pw", "addr"}},
		"another port":                           {before: m{"pw": 1, "addr": "a"}, after: m{"pw": 1, "addr": "a", "port": 7}, want: Move{"pw", "port"}},
		"the first address":                      {before: m{"pw": 1}, after: m{"pw": 1, "addr": "b"}, want: Move{"pw", "addr"}},
		"no address any more":                    {before: m{"pw": 1, "addr": "a"}, after: m{"pw": 1}, want: Move{"pw", "addr"}},
		"the password with it":                   {before: m{"pw": 1, "addr": "a"}, after: m{"pw": 2, "addr": "b"}, set: []string{"pw"}},
		"another one's password":                 {before: m{"pw": 1, "key": 2, "addr": "a"}, after: m{"pw": 1, "key": 3, "addr": "b"}, set: []string{"key"}, want: Move{"pw", "addr"}},
		"no password at all":                     {before: m{"addr": "a"}, after: m{"addr": "b"}},
		"the password goes":                      {before: m{"pw": 1, "addr": "a"}, after: m{"addr": "b"}},
		"a profile's password":                   {before: m{"addr": "b"}, after: m{"pw": 1, "addr": "b"}, want: Move{"pw", "addr"}},
		"another profile's":                      {before: m{"pw": 1, "addr": "b"}, after: m{"pw": 2, "addr": "b"}, want: Move{"pw", "addr"}},
		"a password that goes nowhere":           {before: m{}, after: m{"pw": 1}},
		"a new machine":                          {after: m{"pw": 1, "addr": "b"}, want: Move{"pw", "addr"}},
		"a new one that comes with its password": {after: m{"pw": 1, "addr": "b"}, set: []string{"pw"}},
		"a shared address":                       {before: m{"addr": "a"}, after: m{"addr": "b"}, shared: true, want: Move{"pw", "addr"}},
		"a shared one that stays":                {before: m{"addr": "a", "pw": 1}, after: m{"addr": "a", "pw": 2}, shared: true},
		"lists":                                  {before: m{"pw": 1, "addr": []any{"a"}}, after: m{"pw": 1, "addr": []any{"a"}}},
		"a url":                                  {before: m{"key": 1, "url": "x"}, after: m{"key": 1, "url": "y"}, want: Move{"key", "url"}},
	} {
		got, moved := table.Moved(Change{
			Before: values(c.before), After: values(c.after), Shared: c.shared,
			Set: func(name string) bool { return slices.Contains(c.set, name) },
		})
		if got != c.want || moved != (c.want != Move{}) {
			t.Errorf("%s: %v, %t; want %v", name, got, moved, c.want)
		}
	}
}

// A target in a request comes with its credential, and no stored one goes there.
func TestUnaccompanied(t *testing.T) {
	table := Table{"pw": {"addr", "port"}, "key": {"addr"}, "alone": {"url"}}
	for _, c := range []struct {
		asked, stored []string
		want          Move
	}{
		{asked: []string{"other"}, stored: []string{"pw", "key"}},
		{asked: []string{"addr"}, stored: []string{"pw"}, want: Move{"key", "addr"}},
		{asked: []string{"addr"}, want: Move{"key", "addr"}},
		{asked: []string{"addr", "pw"}, stored: []string{"pw"}},
		{asked: []string{"addr", "pw"}, stored: []string{"pw", "key"}, want: Move{"key", "addr"}},
		{asked: []string{"addr", "pw", "key"}, stored: []string{"pw", "key"}},
		{asked: []string{"port", "key"}, stored: []string{"pw"}, want: Move{"pw", "port"}},
		{asked: []string{"port", "pw"}, stored: []string{"pw", "key"}},
		{asked: []string{"url"}, want: Move{"alone", "url"}},
		{asked: []string{"pw"}, stored: []string{"pw"}},
	} {
		stored := map[string]any{}
		for _, name := range c.stored {
			stored[name] = 1
		}
		got, found := table.Unaccompanied(func(name string) bool { return slices.Contains(c.asked, name) }, values(stored))
		if got != c.want || found != (c.want != Move{}) {
			t.Errorf("%v with %v stored: %v, want %v", c.asked, c.stored, got, c.want)
		}
	}
}
