// Package backup writes a store into one file and makes a store of such a file.
//
// A snapshot is lines of JSON: a head, the objects, the run records, the audit
// trail, and an end. Each line holds a checksum of its number, its type and its
// data, the last one a checksum of all before it, so that a file that was cut off
// or changed is refused with the line where it was. What is in it is what the
// store had at one moment, whoever wrote meanwhile.
package backup
