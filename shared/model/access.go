package model

import "time"

// MetaClaims is the key in PluginProvider.Meta under which a provider declares
// what its plugins need of the endpoint: a JSON list of Claims. A provider that
// declares none gets what a reader may.
const MetaClaims = "oob/claims"

// Claim says what may be done: the actions, on objects of the scopes, on those
// specific keys. Each field is a list with commas; * means all. An action
// covers its parts: "action" covers "action:poweron".
type Claim struct {
	Scope    string `json:"scope"`
	Action   string `json:"action"`
	Specific string `json:"specific"`
}

// Role is a named set of claims. Its key is Name and its prefix roles.
type Role struct {
	Validation
	Access
	MetaData
	Owned
	Bundled
	Name          string
	Description   string
	Documentation string
	Claims        []Claim
}

// User is one who may log in. Its key is Name and its prefix users.
// PasswordHash and Secret never leave the endpoint; a new Secret voids the
// user's tokens.
type User struct {
	Validation
	Access
	MetaData
	Owned
	Bundled
	Name         string
	Description  string
	PasswordHash []byte `json:",omitempty"`
	Secret       string
	Roles        []string
}

// UserPassword is the body of PUT /users/NAME/password.
type UserPassword struct{ Password string }

// TokenInfo describes a token that was issued to a user, without the token.
type TokenInfo struct {
	ID      string
	User    string
	By      string // the principal that asked for it
	Created time.Time
	Expires time.Time
	Claims  []Claim // what it is limited to; empty: all that its user may
}

// SecureData is a sealed value: a NaCl box of its JSON, to the public key of the
// object that has it, from the key pair of which Key is the public half.
type SecureData struct {
	Key     []byte
	Nonce   []byte
	Payload []byte
}

// ContentSummary describes a content layer without its objects.
type ContentSummary struct {
	Meta     ContentMeta `json:"meta"`
	Counts   map[string]int
	Warnings []string
}

// MetaSandbox is the key in PluginProvider.Meta under which a provider says that
// its plugins must run outside the endpoint's sandbox: "off", because they start
// programs that gain privileges or keep files of their own elsewhere.
const MetaSandbox = "oob/sandbox"
