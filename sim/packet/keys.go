package packet

import (
	"crypto/md5" // fingerprints are told so
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// tell is a key as it is told.
func (k *sshKey) tell() object {
	owner := "/users/" + fixedID("user", "sim")
	if k.Project != "" {
		owner = "/projects/" + k.Project
	}
	return object{
		"id": k.ID, "label": k.Label, "key": k.Key, "fingerprint": fingerprint(k.Key), "owner": href(owner),
		"href": "/ssh-keys/" + k.ID, "created_at": stamp(k.Created), "updated_at": stamp(k.Updated),
	}
}

// fingerprint is that of a public key in the form of authorized_keys, "" if it is
// none.
func fingerprint(key string) string {
	fields := strings.Fields(key)
	if len(fields) < 2 {
		return ""
	}
	raw, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil || len(raw) == 0 {
		return ""
	}
	sum := md5.Sum(raw)
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02x", b)
	}
	return strings.Join(parts, ":")
}

// listKeys lists those of a project, or of the user.
func listKeys(c *call) reply {
	var out []object
	search := c.r.URL.Query().Get("search")
	for _, k := range c.state.Keys {
		if k.Project != c.r.PathValue("id") || search != "" && search != k.Label && search != k.Key && search != fingerprint(k.Key) {
			continue
		}
		out = append(out, k.tell())
	}
	return c.paged("ssh_keys", out)
}

// createKey adds one.
func createKey(c *call) reply {
	var in struct{ Label, Key string }
	if c.decode(&in) != nil {
		return badBody()
	}
	if id := c.r.PathValue("id"); id != "" {
		if p, refusal := c.projectHere(); p == nil {
			return refusal
		}
	}
	var wrong []string
	if in.Label == "" {
		wrong = append(wrong, "Label can't be blank")
	}
	if fingerprint(in.Key) == "" {
		wrong = append(wrong, "Key is invalid")
	}
	if wrong != nil {
		return invalid(wrong...)
	}
	k := &sshKey{ID: c.s.newID(), Label: in.Label, Key: in.Key, Project: c.r.PathValue("id"), Created: c.now, Updated: c.now}
	c.state.Keys = append(c.state.Keys, k)
	return reply{status: http.StatusCreated, body: k.tell()}.done("", "create ssh key")
}

// key finds the key of the path.
func (c *call) key() *sshKey {
	i := slices.IndexFunc(c.state.Keys, func(k *sshKey) bool { return k.ID == c.r.PathValue("key") })
	if i < 0 {
		return nil
	}
	return c.state.Keys[i]
}

// getKey tells one.
func getKey(c *call) reply {
	if k := c.key(); k != nil {
		return ok(k.tell())
	}
	return notFound()
}

// updateKey changes one.
func updateKey(c *call) reply {
	k := c.key()
	if k == nil {
		return notFound()
	}
	var in struct{ Label, Key *string }
	if c.decode(&in) != nil {
		return badBody()
	}
	if in.Key != nil && fingerprint(*in.Key) == "" {
		return invalid("Key is invalid")
	}
	if in.Label != nil {
		k.Label = *in.Label
	}
	if in.Key != nil {
		k.Key = *in.Key
	}
	k.Updated = c.now
	return ok(k.tell()).done("", "update ssh key")
}

// deleteKey removes one.
func deleteKey(c *call) reply {
	k := c.key()
	if k == nil {
		return notFound()
	}
	c.state.Keys = slices.DeleteFunc(c.state.Keys, func(o *sshKey) bool { return o == k })
	return reply{status: http.StatusNoContent}.done("", "delete ssh key")
}
