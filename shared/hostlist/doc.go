// Package hostlist expands host lists such as "rack[1-4]n[01-32],spare7" into
// names, and folds names back into the shortest list that expands to them.
//
// A list is a comma list of words. A word may hold any number of bracketed
// sets; a set is a comma list of numbers and ranges. A number's leading zeros
// are kept: [08-11] is 08, 09, 10, 11. Sets do not nest.
package hostlist

import "fmt"

// Bounds on what is expanded.
const (
	// MaxNames is the largest number of names a list may expand to.
	MaxNames = 100_000
	// MaxName is the largest length of one name, in bytes.
	MaxName = 255
	// maxList is the largest length of a list, in bytes.
	maxList = 4 << 20
	// maxDigits is the longest number of a set that is counted with.
	maxDigits = 18
)

// Error says what is wrong with a list, and where.
type Error struct {
	List string
	Pos  int // byte of List, from 1
	Msg  string
}

// shownList bounds how much of a list a message repeats.
const shownList = 60

// Error names the list, the position and the cause.
func (e *Error) Error() string {
	list := e.List
	if len(list) > shownList {
		list = list[:shownList] + "..."
	}
	return fmt.Sprintf("host list %q, position %d: %s", list, e.Pos, e.Msg)
}
