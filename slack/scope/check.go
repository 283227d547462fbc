package scope

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	api "github.com/slack-go/slack"

	"provision-plugins/shared/model"
	"provision-plugins/slack/channels"
)

// callTimeout bounds one call of the check.
const callTimeout = 15 * time.Second

// Options say what to check.
type Options struct {
	// URL is the API's address, with a final slash.
	URL string

	// Bot and App are the tokens; an empty App is not checked.
	Bot, App string

	// Channel is where messages go; an empty one is not checked.
	Channel string

	// Client makes the calls.
	Client *http.Client
}

// Finding is the outcome of one check.
type Finding struct {
	// What was checked.
	What string

	// Verdict is OK, Lacks (it works without) or Fails.
	Verdict Verdict

	// Detail says more: what was found, and what to do.
	Detail string
}

// Verdict is how a check ended.
type Verdict string

// The verdicts.
const (
	OK    Verdict = "ok"
	Lacks Verdict = "lacks"
	Fails Verdict = "FAILS"
)

// checker checks one app.
type checker struct {
	o      Options
	bot    *api.Client
	scopes []string // of the bot token
	told   bool     // Slack told them
	out    []Finding
}

// Check asks Slack what the tokens are good for. Nothing is posted.
func Check(ctx context.Context, o Options) []Finding {
	c := &checker{o: o}
	c.bot = api.New(o.Bot, api.OptionAPIURL(o.URL), api.OptionHTTPClient(o.Client), api.OptionOnResponseHeaders(c.readScopes))
	if c.token(ctx) {
		c.allowed()
		c.channel(ctx)
	}
	c.app(ctx)
	return c.out
}

// readScopes notes the scopes that an answer's header names.
func (c *checker) readScopes(_ string, h http.Header) {
	text := h.Get("X-Oauth-Scopes")
	if text == "" || c.told {
		return
	}
	c.told = true
	for _, s := range strings.Split(text, ",") {
		c.scopes = append(c.scopes, strings.TrimSpace(s))
	}
}

// find notes a finding.
func (c *checker) find(what string, v Verdict, format string, args ...any) {
	c.out = append(c.out, Finding{what, v, fmt.Sprintf(format, args...)})
}

// clean words an error without the tokens.
func (c *checker) clean(err error) string {
	return strings.Join(strings.Fields(model.Redact(err.Error(), []string{c.o.Bot, c.o.App})), " ")
}

// token checks the bot token, and tells whether it is good.
func (c *checker) token(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	who, err := c.bot.AuthTestContext(ctx)
	switch {
	case err != nil && code(err) == "":
		c.find("Slack", Fails, "it cannot be reached at %s: %s", c.o.URL, c.clean(err))
	case err != nil:
		c.find("bot token", Fails, "Slack refuses it (%s): copy the Bot User OAuth Token from the app's page OAuth & Permissions", code(err))
	case !strings.HasPrefix(c.o.Bot, "xoxb-"):
		c.find("bot token", Fails, "it does not begin with xoxb-: it is that of a user or of an app")
	default:
		c.find("bot token", OK, "user %s in workspace %s", who.User, who.Team)
	}
	return err == nil
}

// code is Slack's error code, "" for any other error.
func code(err error) string {
	var refused api.SlackErrorResponse
	if errors.As(err, &refused) {
		return refused.Err
	}
	return ""
}

// allowed checks the scopes of the bot token.
func (c *checker) allowed() {
	if !c.told {
		c.find("scopes", Lacks, "Slack did not tell them")
		return
	}
	for _, s := range Bot() {
		switch {
		case slices.Contains(c.scopes, s.Name):
			c.find("scope "+s.Name, OK, "%s", s.For)
		case s.Needed:
			c.find("scope "+s.Name, Fails, "missing, to %s: add it on the app's page OAuth & Permissions and install the app again", s.For)
		default:
			c.find("scope "+s.Name, Lacks, "missing, to %s", s.For)
		}
	}
}

// channel checks the channel, as far as that can be asked.
func (c *checker) channel(ctx context.Context) {
	if c.o.Channel == "" {
		return
	}
	what := "channel " + c.o.Channel
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	id, err := c.o.Channel, error(nil)
	if channels.Named(id) {
		id, err = channels.Find(ctx, c.bot, id)
	}
	var ch *api.Channel
	if err == nil {
		ch, err = c.bot.GetConversationInfoContext(ctx, &api.GetConversationInfoInput{ChannelID: id})
	}
	switch {
	case channels.Named(c.o.Channel) && err != nil && code(err) == "missing_scope":
		c.find(what, Fails, "it cannot be found by its name without channels:read: give its ID")
	case err != nil && code(err) == "missing_scope":
		c.find(what, Lacks, "it cannot be asked for without channels:read or groups:read")
	case model.KindOf(err) == model.NotFound:
		c.find(what, Fails, "there is none of that name that the bot can see: /invite it there, or give the channel's ID")
	case err != nil:
		c.find(what, Fails, "%s: give its ID, as at the end of the channel's details, and invite the bot to it", c.clean(err))
	case ch.IsArchived:
		c.find(what, Fails, "#%s is archived", ch.Name)
	case !ch.IsMember && ch.IsPrivate, !ch.IsMember && !slices.Contains(c.scopes, "chat:write.public"):
		c.find(what, Fails, "the bot is not in #%s: /invite it there", ch.Name)
	default:
		c.find(what, OK, "#%s", ch.Name)
	}
}

// app checks the app-level token by asking for a connection, which is not opened.
func (c *checker) app(ctx context.Context) {
	if c.o.App == "" {
		c.find("app token", Lacks, "none is given: there are no commands and no buttons")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	client := api.New(c.o.Bot, api.OptionAppLevelToken(c.o.App), api.OptionAPIURL(c.o.URL), api.OptionHTTPClient(c.o.Client))
	_, _, err := client.StartSocketModeContext(ctx)
	switch {
	case err == nil:
		c.find("app token", OK, "Socket Mode is on")
	case code(err) == "missing_scope":
		c.find("app token", Fails, "it lacks %s: make another on the app's page Basic Information", App()[0].Name)
	default:
		c.find("app token", Fails, "%s: make one on the app's page Basic Information, and turn Socket Mode on", c.clean(err))
	}
}
