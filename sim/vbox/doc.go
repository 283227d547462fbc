// Package vbox simulates VirtualBox at the level of its command line: a program
// that is called as VBoxManage is called and prints what VBoxManage prints. Its
// virtual machines are records in a folder, so that many such processes at once
// see one host, as they would see one VBoxSVC.
//
// The program is any that asks Called at its start: New puts links to it, named
// VBoxManage and VBoxHeadless, into the folder. The host keeps a ledger of what
// was executed, as opposed to asked for or answered. Faults are data; they are
// counted, so that a run can be repeated.
//
// What it prints was recorded of VBoxManage 7.2.22.
package vbox
