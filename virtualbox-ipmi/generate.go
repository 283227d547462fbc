package main

//go:generate go run ../tools/contents bundle content.go --dir content
