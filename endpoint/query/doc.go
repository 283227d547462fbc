// Package query reads what a caller wants of a list of objects (filters, order,
// page) and finds it among many encoded objects without decoding them: what a
// filter once looked at is kept beside the object.
package query
