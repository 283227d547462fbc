// Package content reads and checks content bundles: the params, profiles,
// stages, tasks and templates that a plugin or the endpoint brings along.
//
// A bundle starts as a directory: metadata files at the top (._Name.meta and
// its kin), one folder for each section, in it one file for each object (.yaml,
// .yml or .json; in templates any other file is a template's text). LoadDir
// reads it, strictly: what the reference takes in silence, and loses or spoils
// later, is refused here with the file and, where it is known, the line. That
// goes for unknown fields too, which the reference drops.
//
// An object may refer to objects of its own bundle and to those that every
// endpoint has. One of another layer has to be listed in ._Known.meta, a file
// that the reference passes over, on a line of its own:
//
//	hardware-tooling: tasks/hardware-setup
//
// with a layer that is among the Prerequisites. A listed object that nothing
// refers to is refused as well, so that the list stays true.
//
// Words that YAML 1.1 does not read as they look, such as on, 0755 and 1:30, are
// refused in a source file where that could change what was meant.
//
// Unbundle writes a bundle as such a directory again, and Document its
// reference page. Read takes a bundle in any form, for both.
//
// Parse reads a bundle that somebody else has built. It takes what may be newer
// than this software, such as unknown fields, which it keeps, and references
// that only the endpoint can follow; it refuses what could not be used.
//
// The package links a JSON Schema compiler, which costs a process milliseconds
// at its start. Programs that start often use the package bundle below alone.
package content
