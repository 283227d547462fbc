package endpoint

import "time"

// timing holds the bounds of plugins' lives. Tests make them short.
type timing struct {
	define, unpack, config, publish time.Duration
	// retry is how long a binary that failed rests; each failure doubles it.
	retry time.Duration
	// backoffMin and backoffMax bound the pause before a crashed plugin is
	// started again.
	backoffMin, backoffMax time.Duration
	// maxCrashes within crashWindow open the circuit.
	maxCrashes  int
	crashWindow time.Duration
	// firstScan is how long the first actions wait for plugins being defined.
	firstScan time.Duration
	// leftover is how long the process of an earlier endpoint may take to end.
	leftover time.Duration
	// readyWait is how long a read waits for a plugin that is starting.
	readyWait time.Duration
}

// defaultTiming is what runs outside tests.
func defaultTiming() timing {
	return timing{
		define: 10 * time.Second, unpack: time.Minute, config: time.Minute, publish: 30 * time.Second,
		retry:      time.Minute,
		backoffMin: 250 * time.Millisecond, backoffMax: 30 * time.Second,
		maxCrashes: 5, crashWindow: 10 * time.Minute,
		firstScan: 3 * time.Second, leftover: 10 * time.Second, readyWait: 10 * time.Second,
	}
}
