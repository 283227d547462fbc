// Package metrics counts what an endpoint does, and shows it to Prometheus. No
// series is of one machine: a fleet of ten thousand costs as many as one of ten.
package metrics
