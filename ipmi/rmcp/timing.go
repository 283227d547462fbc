package rmcp

import "time"

// The bounds of waiting.
const (
	firstTry = 350 * time.Millisecond // before anything is known of a BMC
	maxTry   = 4 * time.Second
	// maxOpenTry is the longest wait between two copies of an Open Session by a BMC
	// that was not heard yet. It is one small datagram; were the waits to double
	// further, a network that loses every third one would get so few tries in half a
	// minute that now and then all of them are lost.
	maxOpenTry = 1400 * time.Millisecond
	// openLimit ends the opening of a session with a silent BMC, even where the
	// caller would wait longer.
	openLimit = 20 * time.Second
	// A command sent once is waited for longer than one try, since there is no
	// second.
	defaultOnce = 2 * time.Second
	maxOnce     = 8 * time.Second
)

// lossyTries is how often a message is sent where others were lost on the way.
const lossyTries = 10

// tryFor is how long to wait for an answer before sending again, by the round
// trip of the BMC: never less than a busy BMC on a fast network needs, which is
// least, or firstTry if that is 0.
func tryFor(least, rtt time.Duration) time.Duration {
	if least == 0 {
		least = firstTry
	}
	return max(least, min(3*rtt, maxTry))
}

// lossyTry is tryFor where messages are lost: what is sent again too soon does less
// harm there than what is sent too late.
func lossyTry(least, rtt time.Duration) time.Duration {
	if least == 0 {
		least = firstTry
	}
	return max(least, min(2*rtt, maxTry))
}

// longer is how long the try after one of wait is.
func longer(wait time.Duration) time.Duration { return longerTo(maxTry, wait) }

// longerTo is longer with a bound of its own.
func longerTo(most, wait time.Duration) time.Duration { return max(wait, min(2*wait, most)) }

// onceFor is how long to wait for the answer of a command sent once.
func onceFor(least, rtt time.Duration) time.Duration {
	if least == 0 {
		least = defaultOnce
	}
	return min(max(least, 4*rtt), maxOnce)
}

// smooth moves the known round trip towards a new sample.
func smooth(rtt, sample time.Duration) time.Duration {
	if rtt == 0 {
		return sample
	}
	return rtt + (sample-rtt)/4
}
