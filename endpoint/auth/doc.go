// Package auth knows what callers of the endpoint may do and how they prove who
// they are: claims, password hashes, signed tokens, and the limit on logins. It
// stores nothing.
package auth
