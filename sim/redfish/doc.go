// Package redfish simulates BMCs that speak Redfish (DSP0266) over HTTPS, many in
// one process: sessions and Basic authentication, power with delays, boot
// overrides, indicators, virtual media, logs, tasks, entity tags, rate limits and
// pages, in the dialects of several vendors.
//
// What a BMC serves is data: the resources are templates (data/*.json), common ones
// and what each dialect does otherwise, shared by all BMCs of a fleet. One BMC is
// only what can change in it, and a certificate once somebody connects. What is
// wrong with a BMC is data, too: see Faults. Each BMC counts what it executed, so
// that a test can tell what happened from what was said.
//
// It needs nothing but the standard library.
package redfish
