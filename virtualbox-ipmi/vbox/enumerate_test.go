package vbox

import (
	"strings"
	"testing"
)

func TestParseAllExtraData(t *testing.T) {
	t.Parallel()
	got := ParseAllExtraData([]byte("WARNING: The character device /dev/vboxdrv does not exist.\n" +
		"Key: drp/boot-pending, Value: net once\r\nKey: GUI/Size, Value: 1, Value: 2\nKey: drp/boot-pending, Value: forged\n Key: x, Value: y\nKey: empty, Value: \n"))
	want := map[string]string{"drp/boot-pending": "net once", "GUI/Size": "1, Value: 2", "empty": ""}
	if len(got) != len(want) {
		t.Errorf("%v", got)
	}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s is %q, want %q", key, got[key], value)
		}
	}
}

func FuzzParseAllExtraData(f *testing.F) {
	f.Add([]byte("Key: a, Value: b\n"))
	f.Add([]byte("Key: , Value: \r\nKey: a, Value"))
	f.Fuzz(func(t *testing.T, out []byte) {
		for key, value := range ParseAllExtraData(out) {
			if key == "" || strings.ContainsAny(key, " \n") || strings.Contains(value, "\n") {
				t.Errorf("%q is %q", key, value)
			}
		}
	})
}
