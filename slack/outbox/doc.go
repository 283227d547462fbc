// Package outbox keeps messages until it is known that they are posted. A
// message that Put took is on disk; it is delivered in its turn, once, over any
// number of crashes, or told as given up. What a crash or a lost answer leaves
// open is looked up where the message should be before it is sent again.
//
// The state is a journal: one line a step, synced before the step counts, read
// again at the start. A torn last line is a step that did not count.
package outbox
