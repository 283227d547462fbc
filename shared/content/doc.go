// Package content reads, checks and writes content bundles: the params,
// profiles, stages, tasks and templates that a plugin or the endpoint brings
// along.
//
// A bundle starts as a directory: meta files at the top (._Name.meta and its
// kin), one folder per section, one file per object. LoadDir reads it, strictly:
// what the reference takes in silence and loses or spoils later is refused here
// with the file and, where it is known, the line. Parse reads a bundle that
// somebody else has built, and is strict only where the bundle could not be
// used. The encoders give the same bytes for the same bundle, always.
package content
