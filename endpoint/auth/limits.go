package auth

import (
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// bound is how many failed logins are taken at once, and how often one more.
type bound struct {
	burst int
	every time.Duration
}

// Failed logins count three times. One user from one place has few tries; a
// place, and a user from everywhere, have more, so that somebody elsewhere does
// not lock a user out for long.
var (
	perPair   = bound{5, 3 * time.Minute}
	perSource = bound{20, 6 * time.Second}
	perUser   = bound{50, 10 * time.Second}
)

// maxBuckets bounds the memory of limits.
const maxBuckets = 10_000

// limits counts failed logins. It is guarded by its owner.
type limits struct {
	buckets map[string]*rate.Limiter
}

// newLimits makes an empty limits.
func newLimits() limits { return limits{map[string]*rate.Limiter{}} }

// counted is a bucket that a login counts in.
type counted struct {
	name string
	bound
}

// countedIn lists the buckets of a login.
func countedIn(user, source string) [3]counted {
	return [...]counted{{"pair " + source + " " + user, perPair}, {"source " + source, perSource}, {"user " + user, perUser}}
}

// wait is how long a login must wait; 0 if it may go on.
func (l *limits) wait(now time.Time, user, source string) time.Duration {
	var longest time.Duration
	for _, c := range countedIn(user, source) {
		b := l.buckets[c.name]
		if b == nil {
			continue
		}
		if missing := 1 - b.TokensAt(now); missing > 0 {
			longest = max(longest, time.Duration(missing*float64(c.every)))
		}
	}
	return longest
}

// failed counts a failed login.
func (l *limits) failed(now time.Time, user, source string) {
	if len(l.buckets) > maxBuckets {
		l.sweep(now)
	}
	for _, c := range countedIn(user, source) {
		b := l.buckets[c.name]
		if b == nil {
			b = rate.NewLimiter(rate.Every(c.every), c.burst)
			l.buckets[c.name] = b
		}
		b.AllowN(now, 1)
	}
}

// sweep forgets the buckets that are full again; of too many others, the pairs
// go first, for they count elsewhere too.
func (l *limits) sweep(now time.Time) {
	for name, b := range l.buckets {
		if b.TokensAt(now) >= float64(b.Burst()) {
			delete(l.buckets, name)
		}
	}
	for _, kind := range []string{"pair ", ""} {
		for name := range l.buckets {
			if len(l.buckets) <= maxBuckets/2 {
				return
			}
			if strings.HasPrefix(name, kind) {
				delete(l.buckets, name)
			}
		}
	}
}
