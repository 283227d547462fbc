//go:build !race

package main

// raced reports whether this program watches for data races.
const raced = false
