// Package runs keeps the record of every mutating action and decides which of
// them may be sent.
//
// A run's first record is durable before anything is sent; its outcome is
// written by compare-and-set; a run whose process died, or that is past its
// deadline, becomes unknown and is never sent again. A repeated request finds
// the run it repeats, one object has one live run, and an unknown run of an
// action that must not happen twice holds back the next one until somebody
// has looked.
package runs
