// Package chatops holds commands from Slack against an endpoint: a simulated
// workspace, the room that takes commands, a real endpoint and a plugin that
// writes down what it executes. It has tests only: neither the endpoint nor the
// slack plugin may know the other.
package chatops
