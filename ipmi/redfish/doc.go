// Package redfish reaches machines through BMCs that speak Redfish (DSP0266), by
// gofish.
//
// A Pool holds one session per BMC and login, whatever the number of callers: its
// token is used again, one login at a time is under way, and the session is deleted
// on the BMC once nobody has used it for a while, and when the pool stops. All that
// comes from a BMC passes through one place that knows the host, checks the
// certificate as asked, bounds the body and refuses what is no JSON.
//
// What is sent once goes out on a connection of its own. net/http sends a request
// again if a connection that was kept turns out to be closed; on a fresh one it
// never does.
package redfish
