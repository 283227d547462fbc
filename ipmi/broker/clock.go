package broker

import "time"

// Clock is the time in which a Broker paces, remembers and forgets.
type Clock interface {
	// Now returns the present time.
	Now() time.Time
	// AfterFunc calls f in a goroutine of its own once d has passed, unless
	// stop is called before.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// wall is the clock on the wall.
type wall struct{}

// Now returns the present time.
func (wall) Now() time.Time { return time.Now() }

// AfterFunc calls f after d.
func (wall) AfterFunc(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
