// Package secret seals the values that must not lie about in clear. Each object
// that has some has a key pair of its own, and a value is a NaCl box to it, as
// in the reference; the pairs are sealed under the one master key.
package secret
