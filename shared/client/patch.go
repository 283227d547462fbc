package client

import "strings"

// Op is one operation of a JSON patch (RFC 6902) as clients of v4 endpoints send
// it: with a from and a value, whatever the operation.
type Op struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	From  string `json:"from"`
	Value any    `json:"value"`
}

// Add sets a member of an object, or inserts into a list.
func Add(path string, value any) Op { return Op{Op: "add", Path: path, Value: value} }

// Replace sets what is there already.
func Replace(path string, value any) Op { return Op{Op: "replace", Path: path, Value: value} }

// Remove removes what is there.
func Remove(path string) Op { return Op{Op: "remove", Path: path} }

// Test has the whole patch refused unless the value is there.
func Test(path string, value any) Op { return Op{Op: "test", Path: path, Value: value} }

// escaper escapes a name for a JSON pointer (RFC 6901 §3).
var escaper = strings.NewReplacer("~", "~0", "/", "~1")

// Pointer is the JSON pointer to a member by the names on the way to it, such as
// "Params" and "ipmi/address".
func Pointer(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		b.WriteByte('/')
		b.WriteString(escaper.Replace(name))
	}
	return b.String()
}
