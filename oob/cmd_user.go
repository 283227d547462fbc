package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// users are the endpoint's users.
func users(c *client.Client) client.Objects[model.User] { return client.Of[model.User](c, "users") }

// newUserCommand makes "user" and what is below it.
func newUserCommand(a *app) *cobra.Command {
	return groupCommand(&cobra.Command{
		Use:   "user",
		Short: "List, add and remove users, their passwords and roles",
		Long: `List, add and remove users, their passwords and roles.

What a user may do is what its roles allow: viewer, operator, admin and
superuser are there, "oob user roles" lists all.`,
	}, newUserListCommand(a), newUserAddCommand(a), newUserPasswordCommand(a), newUserRolesCommand(a), newUserRemoveCommand(a))
}

// newUserListCommand makes "user list".
func newUserListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List users and their roles",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(func(c *client.Client) error {
				list, err := users(c).List(cmd.Context(), client.Query{Sort: "Name"})
				if err != nil {
					return err
				}
				rows := [][]string{{"NAME", "ROLES", "DESCRIPTION"}}
				for _, u := range list {
					rows = append(rows, []string{u.Name, strings.Join(u.Roles, ", "), u.Description})
				}
				return printList(a, list, rows)
			})
		},
	}
}

// printList prints a list: as a table, or with --json each on a line.
func printList[T any](a *app, list []T, rows [][]string) error {
	if !a.flags.json {
		return table(a.stdout, dropEmpty(rows))
	}
	for i := range list {
		if err := a.printJSON(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

// printState prints what has become of an object.
func (a *app) printState(kind, name, state string) error {
	if a.flags.json {
		return a.printJSON(map[string]string{kind: name, "state": state})
	}
	return a.printLine(name + ": " + state)
}

// newUserAddCommand makes "user add".
func newUserAddCommand(a *app) *cobra.Command {
	var u model.User
	var file string
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a user; on a terminal its password is asked for",
		Long: `Add a user. Its password is read from --password-file, else asked for on a
terminal; without either the user has none and can only be given tokens.`,
		Example: "  oob user add ada --role operator --password-file ./pw",
		Args:    wants(1, 1, "the NAME of one user"),
		RunE: func(cmd *cobra.Command, args []string) error {
			u.Name = args[0]
			password, err := a.newPassword(cmd.Context(), u.Name, file, false)
			if err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				if _, err := users(c).Create(cmd.Context(), &u); err != nil {
					return instead(err, model.Conflict, "user %s already exists; `oob user password` and `oob user roles` change it", u.Name)
				}
				if password != "" {
					if err := setPassword(cmd.Context(), c, u.Name, password); err != nil {
						return model.Errorf(model.KindOf(err), "user %s was added without a password: %w", u.Name, err)
					}
				}
				return a.printState("user", u.Name, "added")
			})
		},
	}
	fs := cmd.Flags()
	fs.StringArrayVar(&u.Roles, "role", nil, "a `ROLE` it has (may be repeated)")
	fs.StringVar(&u.Description, "description", "", "who it is")
	fs.StringVar(&file, "password-file", "", "`FILE` with its password; - is stdin")
	return cmd
}

// setPassword sets a user's password.
func setPassword(ctx context.Context, c *client.Client, name, password string) error {
	return c.Put(ctx, client.Path("users", name, "password"), &model.UserPassword{Password: password}, new(json.RawMessage))
}

// newUserPasswordCommand makes "user password".
func newUserPasswordCommand(a *app) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "password NAME",
		Short: "Set a user's password; its tokens are revoked",
		Long: `Set a user's password, read from --password-file, else asked for on a terminal.
The tokens that the user has are revoked.`,
		Args: wants(1, 1, "the NAME of one user"),

		ValidArgsFunction: a.completesOne(userNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := a.newPassword(cmd.Context(), args[0], file, true)
			if err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				if err := setPassword(cmd.Context(), c, args[0], password); err != nil {
					return instead(err, model.NotFound, noUser, args[0])
				}
				return a.printState("user", args[0], "password set")
			})
		},
	}
	cmd.Flags().StringVar(&file, "password-file", "", "`FILE` with the password; - is stdin")
	return cmd
}

// noUser tells of a user that is not there.
const noUser = "no user is called %s; `oob user list` lists them"

// newUserRolesCommand makes "user roles".
func newUserRolesCommand(a *app) *cobra.Command {
	var clear bool
	cmd := &cobra.Command{
		Use:     "roles [NAME [ROLE...]]",
		Short:   "List all roles, or those of a user, or give a user these roles and no others",
		Example: "  oob user roles\n  oob user roles ada viewer operator\n  oob user roles ada --none",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *client.Client) error {
				switch {
				case len(args) == 0 && !clear:
					return a.listRoles(cmd.Context(), c)
				case len(args) == 0 || clear && len(args) > 1:
					return usage("--none takes the NAME of one user")
				case len(args) == 1 && !clear:
					u, err := users(c).Get(cmd.Context(), args[0])
					if err != nil {
						return instead(err, model.NotFound, noUser, args[0])
					}
					return a.printRoles(u)
				}
				u, err := users(c).Patch(cmd.Context(), args[0], client.Add("/Roles", args[1:]))
				if err != nil {
					return instead(err, model.NotFound, noUser, args[0])
				}
				return a.printRoles(u)
			})
		},
		ValidArgsFunction: a.completesOne(userNames),
	}
	cmd.Flags().BoolVar(&clear, "none", false, "take all roles from the user")
	return cmd
}

// printRoles prints a user's roles.
func (a *app) printRoles(u *model.User) error {
	if a.flags.json {
		return a.printJSON(map[string]any{"user": u.Name, "roles": append([]string{}, u.Roles...)})
	}
	if len(u.Roles) == 0 {
		return a.printLine(u.Name + ": no roles")
	}
	return a.printLine(u.Name + ": " + strings.Join(u.Roles, ", "))
}

// listRoles prints all roles.
func (a *app) listRoles(ctx context.Context, c *client.Client) error {
	list, err := client.Of[model.Role](c, "roles").List(ctx, client.Query{Sort: "Name"})
	if err != nil {
		return err
	}
	rows := [][]string{{"ROLE", "CLAIMS", "DESCRIPTION"}}
	for _, r := range list {
		rows = append(rows, []string{r.Name, fmt.Sprint(len(r.Claims)), r.Description})
	}
	return printList(a, list, rows)
}

// newUserRemoveCommand makes "user remove".
func newUserRemoveCommand(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:     "remove NAME",
		Aliases: []string{"rm"},
		Short:   "Remove a user; its tokens are void at once",
		Args:    wants(1, 1, "the NAME of one user"),

		ValidArgsFunction: a.completesOne(userNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.confirmThe(cmd.Context(), "user remove", "user", args, yes); err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				if _, err := users(c).Delete(cmd.Context(), args[0]); err != nil {
					return instead(err, model.NotFound, noUser, args[0])
				}
				return a.printState("user", args[0], "removed")
			})
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// userNames lists names of users.
func userNames(ctx context.Context, c *client.Client, prefix string) ([]string, error) {
	list, err := users(c).List(ctx, named(prefix))
	return namesIn(list, func(u model.User) string { return u.Name }), err
}

// newPassword reads a new password from a file, or asks for it twice on a
// terminal. Without either it is empty, unless it is wanted.
func (a *app) newPassword(ctx context.Context, name, file string, wanted bool) (string, error) {
	if file != "" {
		password, err := a.readSecret(file)
		if err != nil {
			return "", usage("--password-file: %w", err)
		}
		return password, nil
	}
	if !a.ask {
		if wanted {
			return "", usage("no password: give --password-file FILE, or ask on a terminal")
		}
		return "", nil
	}
	return a.askPassword(ctx, name)
}

// askPassword asks for a new password on the terminal, twice.
func (a *app) askPassword(ctx context.Context, name string) (password string, err error) {
	in, ok := a.stdin.(*os.File)
	if !ok {
		return "", usage("cannot ask: stdin is no terminal")
	}
	restore, err := noEcho(int(in.Fd()))
	if err != nil {
		return "", usage("cannot ask: %w", err)
	}
	defer func() {
		if failed := restore(); failed != nil && err == nil {
			err = usage("cannot have the terminal show again what is typed, `reset` does: %w", failed)
		}
	}()
	password, err = a.askSecret(ctx, in, "New password of "+clean(name)+": ")
	if err != nil {
		return "", err
	}
	again, err := a.askSecret(ctx, in, "Again: ")
	switch {
	case err != nil:
		return "", err
	case password == "":
		return "", usage("no password was given: nothing was done")
	case password != again:
		return "", usage("the two are not the same: nothing was done")
	}
	return password, nil
}

// askSecret asks on the terminal for what is not shown there.
func (a *app) askSecret(ctx context.Context, in *os.File, question string) (string, error) {
	fmt.Fprint(a.stderr, question)
	type read struct {
		text []byte
		err  error
	}
	done := make(chan read, 1)
	// A read of a terminal cannot be cut short: after an interrupt this
	// goroutine ends with the process, which is next.
	go func() {
		text, err := term.ReadPassword(int(in.Fd()))
		done <- read{text, err}
	}()
	select {
	case r := <-done:
		fmt.Fprintln(a.stderr)
		if r.err != nil && !errors.Is(r.err, io.EOF) {
			return "", usage("cannot read the password: %w", r.err)
		}
		return string(r.text), nil
	case <-ctx.Done():
		fmt.Fprintln(a.stderr)
		return "", usage("interrupted: nothing was done")
	}
}
