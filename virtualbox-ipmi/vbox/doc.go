// Package vbox drives VBoxManage, the command line of VirtualBox, and reads what
// it prints. It decides three things in one place: how a command is run (by an
// argument list, in a clean environment, bounded in time and output, one change
// of a VM at a time), what its failure means (by the code it prints, never by
// its text, which is translated), and whether it may be run again.
//
// What it states about VBoxManage was seen of version 7.2.22.
package vbox
