package rmcp

// windowSize is how far behind the newest a sequence number may come
// (IPMI 2.0 §6.12.13).
const windowSize = 16

// window remembers which inbound sequence numbers were seen, so that a packet
// is believed once. It accepts any newer number, since only the BMC can have
// authenticated it and any number of its packets may have been lost.
type window struct {
	newest uint32
	seen   uint32 // bit i is newest-i
}

// accept reports whether seq is new, and marks it seen. Number 0 is for packets
// outside sessions.
func (w *window) accept(seq uint32) bool {
	if seq == 0 {
		return false
	}
	if seq > w.newest {
		if ahead := seq - w.newest; ahead < 32 {
			w.seen <<= ahead
		} else {
			w.seen = 0
		}
		w.seen |= 1
		w.newest = seq
		return true
	}
	behind := w.newest - seq
	if behind > windowSize || w.seen&(1<<behind) != 0 {
		return false
	}
	w.seen |= 1 << behind
	return true
}
