package main

import (
	"cmp"
	"net/url"
	"strings"

	"provision-plugins/shared/model"
	"provision-plugins/slack/chat/grant"
	"provision-plugins/slack/outbox"
	"provision-plugins/slack/redact"
	"provision-plugins/slack/route"
	"provision-plugins/slack/silence"
)

// The plugin's params.
const (
	paramToken   = "slack/bot-token"
	paramKey     = "slack/bot-key" // the reference's name of the same
	paramURL     = "slack/api-url"
	paramChannel = "slack/default-channel"
	paramRoutes  = "slack/routes"
	paramSilence = "slack/silences"
	paramRedact  = "slack/redact"
	paramBudget  = "slack/messages-per-minute"
	paramDoubt   = "slack/in-doubt"
	paramDir     = pluginName + "/state-dir"
)

// pluginName is what its params and its state are called by.
const pluginName = "slack"

// defaultURL is the address of Slack's Web API.
const defaultURL = "https://slack.com/api/"

// config is what the params say.
type config struct {
	token   string
	url     string // ends with a slash, as slack-go wants it
	channel string
	dir     string // of durable state
	routes  *route.Table

	silences []silence.Silence
	patterns redact.Patterns

	perMinute int           // the budget of the workspace, 0 for the outbox's own
	doubt     outbox.Policy // of messages of which nobody can tell

	app    string        // the app token, empty for no commands
	policy *grant.Policy // of commands
}

// parseConfig checks the params. Its errors name the param.
func parseConfig(params model.Params) (config, error) {
	var c config
	texts := map[string]string{}
	for _, name := range []string{paramToken, paramKey, paramURL, paramChannel, paramApp} {
		s, err := params.String(name, "")
		if err != nil {
			return c, err
		}
		texts[name] = strings.TrimSpace(s)
	}
	token, key := texts[paramToken], texts[paramKey]
	switch {
	case token == "" && key == "":
		return c, model.Errorf(model.Invalid, "cannot use Slack: set param %s to the bot token (xoxb-...)", paramToken)
	case token != "" && key != "" && token != key:
		return c, model.Errorf(model.Invalid, "cannot use Slack: params %s and %s are both set and differ; keep one", paramToken, paramKey)
	case texts[paramChannel] == "":
		return c, model.Errorf(model.Invalid, "cannot use Slack: set param %s to the channel to post to", paramChannel)
	}
	address, err := apiURL(texts[paramURL])
	if err != nil {
		return c, err
	}
	routes, err := route.Parse(params[paramRoutes])
	if err != nil {
		return c, model.Errorf(model.Invalid, "param %s: %s", paramRoutes, model.AsError(err).Text())
	}
	silences, err := silence.Parse(params[paramSilence])
	if err != nil {
		return c, model.Errorf(model.Invalid, "param %s: %s", paramSilence, model.AsError(err).Text())
	}
	patterns, err := redact.Parse(params[paramRedact])
	if err != nil {
		return c, model.Errorf(model.Invalid, "param %s: %s", paramRedact, model.AsError(err).Text())
	}
	if c.perMinute, err = budget(params); err != nil {
		return c, err
	}
	if c.doubt, err = inDoubt(params); err != nil {
		return c, err
	}
	policy, err := grant.Parse(params[paramCommands])
	if err != nil {
		return c, model.Errorf(model.Invalid, "param %s: %s", paramCommands, model.AsError(err).Text())
	}
	return config{token: cmp.Or(token, key), url: address, channel: texts[paramChannel], routes: routes, silences: silences, patterns: patterns,
		app: texts[paramApp], policy: policy, perMinute: c.perMinute, doubt: c.doubt}, nil
}

// maxPerMinute is the most messages that a workspace is given in a minute.
const maxPerMinute = 1000

// budget reads how many messages a workspace is given in a minute, 0 for the
// outbox's own number.
func budget(params model.Params) (int, error) {
	n, err := params.Int(paramBudget, 0, 0, maxPerMinute)
	return int(n), err
}

// inDoubt reads what becomes of a message that may have been posted where that
// cannot be looked up.
func inDoubt(params model.Params) (outbox.Policy, error) {
	text, err := params.String(paramDoubt, string(outbox.AtLeastOnce))
	if err != nil {
		return "", err
	}
	switch p := outbox.Policy(text); p {
	case outbox.AtLeastOnce, outbox.AtMostOnce:
		return p, nil
	}
	return "", model.Errorf(model.Invalid, "param %s: %.80q is neither %s nor %s", paramDoubt, text, outbox.AtLeastOnce, outbox.AtMostOnce)
}

// apiURL normalises the API's address. Plain http is for loopback only: the
// token travels in the body.
func apiURL(text string) (string, error) {
	if text == "" {
		return defaultURL, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil {
		return "", model.Errorf(model.Invalid, "param %s: %q is not an address like %s", paramURL, text, defaultURL)
	}
	local := u.Hostname() == "localhost" || strings.HasPrefix(u.Hostname(), "127.") || u.Hostname() == "::1"
	if u.Scheme != "https" && !(u.Scheme == "http" && local) {
		return "", model.Errorf(model.Invalid, "param %s: %q must be https (http is for loopback only)", paramURL, text)
	}
	return strings.TrimRight(u.String(), "/") + "/", nil
}
