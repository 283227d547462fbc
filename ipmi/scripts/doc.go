// Package scripts holds the tests of the scripts in the ipmi plugin's content:
// each is rendered as an endpoint renders it, read by ShellCheck, and run
// against tools that record how they are called and answer as real ones do.
package scripts
