// Package store is the endpoint's engine and storage: NATS JetStream embedded
// in this process, without a port, every write synced to disk before it is
// acknowledged.
//
// It keeps two things. Objects stand in a key-value bucket under PREFIX.ID and
// are written by compare-and-set of their revision; every read comes from a
// full view in memory. Run records stand in the stream ACTIONS under the
// subject act.SITE.PREFIX.ID, one record a transition, written by
// compare-and-set of the subject's last sequence. Records that come at once are
// written as one batch of the engine's, each with its own compare-and-set, so that
// many share one sync.
package store
