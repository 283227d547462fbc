// Package events fans out what happens to whoever asked for it. Every
// subscriber has a bounded queue of its own: a slow one is told how many events
// it missed and never slows the others or the publisher. The newest events are
// kept in memory for those who come late.
package events
