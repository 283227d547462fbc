package scope

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Manifest is a Slack app as Slack's page "create an app from a manifest" takes it.
type Manifest struct {
	Display  display  `json:"display_information"`
	Features features `json:"features"`
	OAuth    oauth    `json:"oauth_config"`
	Settings settings `json:"settings"`
}

// display is what people see of the app.
type display struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Color       string `json:"background_color"`
}

// features are what the app brings.
type features struct {
	Bot      bot            `json:"bot_user"`
	Commands []slashCommand `json:"slash_commands"`
}

// bot is the app's user.
type bot struct {
	Name   string `json:"display_name"`
	Online bool   `json:"always_online"`
}

// slashCommand is a command of the app.
type slashCommand struct {
	Command     string `json:"command"`
	Description string `json:"description"`
	Hint        string `json:"usage_hint"`
	Escape      bool   `json:"should_escape"`
}

// oauth are the scopes that are asked for.
type oauth struct {
	Scopes struct {
		Bot []string `json:"bot"`
	} `json:"scopes"`
}

// settings say how the app hears from Slack: through a connection that it opens
// itself, so that nothing of it has to be public.
type settings struct {
	Interactivity struct {
		Enabled bool `json:"is_enabled"`
	} `json:"interactivity"`
	OrgDeploy     bool `json:"org_deploy_enabled"`
	SocketMode    bool `json:"socket_mode_enabled"`
	TokenRotation bool `json:"token_rotation_enabled"`
}

// NewManifest is the manifest of an app of a name whose slash command is command.
func NewManifest(name, command string) *Manifest {
	m := &Manifest{
		Display: display{name, "Tells what happens to machines, and takes commands for them", "#2c2d30"},
		Features: features{
			Bot:      bot{name, true},
			Commands: []slashCommand{{Command: command, Description: "Ask for machines and what to do with them", Hint: "status | list | power | boot | identify | runs | silence | ack | who | help"}},
		},
	}
	for _, s := range Bot() {
		m.OAuth.Scopes.Bot = append(m.OAuth.Scopes.Bot, s.Name)
	}
	m.Settings.Interactivity.Enabled, m.Settings.SocketMode = true, true
	return m
}

// JSON is the manifest as JSON.
func (m *Manifest) JSON() ([]byte, error) {
	raw, err := json.MarshalIndent(m, "", "  ")
	return append(raw, '\n'), err
}

// YAML is the manifest as YAML.
func (m *Manifest) YAML() ([]byte, error) {
	raw, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	var b strings.Builder
	err = writeYAML(&b, dec, 0)
	return []byte(b.String()), err
}

// writeYAML writes the JSON value that comes next as YAML, its keys in their order.
// Scalars are as in JSON, which is YAML.
func writeYAML(b *strings.Builder, dec *json.Decoder, depth int) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	open, composite := token.(json.Delim)
	if !composite {
		raw, err := json.Marshal(token)
		fmt.Fprintf(b, " %s\n", raw)
		return err
	}
	if depth > 0 {
		b.WriteByte('\n')
	}
	for dec.More() {
		b.WriteString(strings.Repeat("  ", depth))
		if open == '[' {
			b.WriteByte('-')
		} else {
			key, err := dec.Token()
			if err != nil {
				return err
			}
			fmt.Fprintf(b, "%s:", key)
		}
		if err := writeYAML(b, dec, depth+1); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}
