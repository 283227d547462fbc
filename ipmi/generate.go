package main

//go:generate go run ../tools/contents bundle content.go --dir content
//go:generate go run ../tools/contents document content -o ../docs/reference/ipmi.rst
