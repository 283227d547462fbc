package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// newTokenCommand makes "token" and what is below it.
func newTokenCommand(a *app) *cobra.Command {
	return groupCommand(&cobra.Command{
		Use:   "token",
		Short: "Create, list and revoke tokens for the https API",
	}, newTokenCreateCommand(a), newTokenListCommand(a), newTokenRevokeCommand(a))
}

// tokenOptions are the flags of "token create".
type tokenOptions struct {
	ttl   time.Duration
	claim model.Claim
	out   string
}

// newTokenCreateCommand makes "token create".
func newTokenCreateCommand(a *app) *cobra.Command {
	var o tokenOptions
	cmd := &cobra.Command{
		Use:   "create USER",
		Short: "Create a token of a user and print it, once",
		Long: `Create a token of a user and print it, once: nothing shows it again. With --out
it goes to a new file that only you can read.

A token allows what its user may, and no more than --scope, --action and
--specific say.`,
		Example: "  oob token create ada --ttl 720h --out ./token\n  oob token create watcher --scope machines --action list",
		Args:    wants(1, 1, "the name of one USER"),

		ValidArgsFunction: a.completesOne(userNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *client.Client) error { return a.createToken(cmd.Context(), c, args[0], o) })
		},
	}
	fs := cmd.Flags()
	fs.DurationVar(&o.ttl, "ttl", 0, "how long it is valid, such as 720h (default: as the endpoint says)")
	fs.StringVar(&o.claim.Scope, "scope", "", "limits it to this `PREFIX`, such as machines")
	fs.StringVar(&o.claim.Action, "action", "", "limits it to this `ACTION`, such as list or action:poweron")
	fs.StringVar(&o.claim.Specific, "specific", "", "limits it to the object of this `KEY`")
	fs.StringVar(&o.out, "out", "", "write it to this new `FILE`, mode 0600")
	return cmd
}

// path is what is asked for a token of a user.
func (o *tokenOptions) path(user string) (string, error) {
	query := url.Values{}
	if o.ttl != 0 {
		if o.ttl < time.Second {
			return "", usage("--ttl must be at least 1s, not %s", o.ttl)
		}
		query.Set("ttl", strconv.FormatInt(int64(o.ttl/time.Second), 10))
	}
	for name, value := range map[string]string{"scope": o.claim.Scope, "action": o.claim.Action, "specific": o.claim.Specific} {
		if value != "" {
			query.Set(name, value)
		}
	}
	path := client.Path("users", user, "token")
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path, nil
}

// createToken creates a token and prints it. A file for it is made first: a
// token that cannot be kept need not be there.
func (a *app) createToken(ctx context.Context, c *client.Client, user string, o tokenOptions) error {
	path, err := o.path(user)
	if err != nil {
		return err
	}
	if o.out == "" {
		return printToken(ctx, c, path, user, a.stdout)
	}
	f, err := os.OpenFile(o.out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return usage("--out: %w", err)
	}
	defer f.Close()
	if err := printToken(ctx, c, path, user, f); err != nil {
		_ = os.Remove(o.out) // the error says why
		return err
	}
	return a.printState("token", o.out, "written, for user "+user)
}

// printToken asks for a token and prints it.
func printToken(ctx context.Context, c *client.Client, path, user string, out io.Writer) error {
	token, err := client.Fetch[model.UserToken](ctx, c, path)
	switch {
	case err != nil:
		return instead(err, model.NotFound, noUser, user)
	case token.Token == "":
		return model.Errorf(model.Internal, "endpoint %s answered no token", c.Where())
	}
	if _, err := fmt.Fprintln(out, token.Token); err != nil {
		return model.Errorf(model.Internal, "cannot print the token: %w", err)
	}
	return nil
}

// fetchTokens lists the tokens of a user, or of all.
func fetchTokens(ctx context.Context, c *client.Client, names []string) ([]model.TokenInfo, error) {
	if len(names) == 0 {
		list, err := users(c).List(ctx, client.Query{})
		if err != nil {
			return nil, err
		}
		names = namesIn(list, func(u model.User) string { return u.Name })
	}
	var out []model.TokenInfo
	for _, name := range names {
		list, err := client.Fetch[[]model.TokenInfo](ctx, c, client.Path("users", name, "tokens"))
		if err != nil {
			return nil, instead(err, model.NotFound, noUser, name)
		}
		out = append(out, list...)
	}
	slices.SortStableFunc(out, func(x, y model.TokenInfo) int {
		return cmp.Or(strings.Compare(x.User, y.User), x.Created.Compare(y.Created))
	})
	return out, nil
}

// newTokenListCommand makes "token list".
func newTokenListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list [USER]",
		Aliases: []string{"ls"},
		Short:   "List the tokens of a user, or of all; not the tokens themselves",
		Args:    wants(0, 1, "the name of one USER, or nothing"),

		ValidArgsFunction: a.completesOne(userNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *client.Client) error {
				list, err := fetchTokens(cmd.Context(), c, args)
				if err != nil {
					return err
				}
				rows := [][]string{{"USER", "ID", "CREATED", "EXPIRES", "BY", "LIMITED TO"}}
				for _, t := range list {
					rows = append(rows, []string{t.User, t.ID, stamp(t.Created), stamp(t.Expires), t.By, claimsText(t.Claims)})
				}
				return printList(a, list, rows)
			})
		},
	}
}

// claimsText is what a token is limited to.
func claimsText(claims []model.Claim) string {
	words := make([]string, len(claims))
	for i, c := range claims {
		words[i] = c.Scope + " " + c.Action + " " + c.Specific
	}
	return strings.Join(words, ", ")
}

// newTokenRevokeCommand makes "token revoke".
func newTokenRevokeCommand(a *app) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "revoke USER [ID...]",
		Short:   "Revoke tokens of a user by their IDs, or all",
		Example: "  oob token revoke ada 7f3c\n  oob token revoke ada --all",
		Args:    wants(1, -1, "the name of one USER and IDs of tokens"),

		ValidArgsFunction: a.completesOne(userNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 1) {
				return usage("give IDs of tokens, or --all; `oob token list` lists them")
			}
			return a.withClient(func(c *client.Client) error {
				return a.revokeTokens(cmd.Context(), c, args[0], args[1:])
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all tokens of the user")
	return cmd
}

// revokeTokens revokes some tokens of a user, or all.
func (a *app) revokeTokens(ctx context.Context, c *client.Client, user string, ids []string) error {
	list, err := fetchTokens(ctx, c, []string{user})
	if err != nil {
		return err
	}
	var full []string
	for _, id := range ids {
		t, err := pickToken(list, id)
		if err != nil {
			return err
		}
		full = append(full, t.ID)
	}
	if len(ids) == 0 {
		if err := c.Delete(ctx, client.Path("users", user, "tokens"), new(json.RawMessage)); err != nil {
			return err
		}
		return a.printState("user", user, "revoked "+count(len(list), "token"))
	}
	for _, id := range full {
		if err := c.Delete(ctx, client.Path("users", user, "tokens", id), new(json.RawMessage)); err != nil {
			return err
		}
		if err := a.printState("token", id, "revoked"); err != nil {
			return err
		}
	}
	return nil
}

// pickToken finds a token by its ID or the beginning of it.
func pickToken(list []model.TokenInfo, id string) (*model.TokenInfo, error) {
	var found *model.TokenInfo
	for i := range list {
		switch {
		case id == "" || !strings.HasPrefix(list[i].ID, id):
		case list[i].ID == id:
			return &list[i], nil
		case found != nil:
			return nil, usage("more than one token begins with %s: give more of the ID", id)
		default:
			found = &list[i]
		}
	}
	if found == nil {
		return nil, model.Errorf(model.NotFound, "the user has no token %s; `oob token list` lists them", id)
	}
	return found, nil
}
