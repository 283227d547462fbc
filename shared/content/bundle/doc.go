// Package bundle is the form of a content bundle: which fields the objects of
// each section have, how one is decoded, checked, filled and written. It knows
// nothing of JSON Schema, whose library costs every process that links it
// milliseconds at its start; package content adds that.
package bundle
