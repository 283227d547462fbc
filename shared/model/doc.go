// Package model holds what crosses a socket: the wire structs of Digital Rebar
// Provision v4 that this project uses, the run record, the results of actions,
// the one table of action names and the one table of error kinds.
//
// Go field names are the JSON names, in the order the reference emits them.
// Nil slices and maps are kept as the reference has them: null for a nil
// slice, and {} only where a map was made.
package model
