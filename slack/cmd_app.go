package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"provision-plugins/shared/model"
	"provision-plugins/slack/scope"
)

// The environment variables that tokens may come from. Arguments of a process can
// be seen by everybody on its machine.
const (
	envBotToken = "SLACK_BOT_TOKEN"
	envAppToken = "SLACK_APP_TOKEN"
)

// maxTokenFile bounds the file of a token.
const maxTokenFile = 4096

// newManifestCommand makes "manifest".
func newManifestCommand() *cobra.Command {
	var name, command string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "manifest",
		Short: "Print the manifest of the Slack app",
		Long: "Print the manifest of the Slack app, with the scopes and the command that the plugin is made for.\n" +
			"At https://api.slack.com/apps choose Create New App, From a manifest, and paste it.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m := scope.NewManifest(name, command)
			print := m.YAML
			if asJSON {
				print = m.JSON
			}
			text, err := print()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "oob", "`name` of the app and of its user")
	cmd.Flags().StringVar(&command, "command", "/metal", "slash `command`; with several endpoints in a workspace, one each")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// newCheckCommand makes "check".
func newCheckCommand(client *http.Client) *cobra.Command {
	var botFile, appFile, address, channel string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Tell what works with the given tokens, and what scope is missing",
		Long: "Tell what works with the given tokens, and what scope is missing. Nothing is posted.\n" +
			"Tokens come from files or from the environment (" + envBotToken + ", " + envAppToken + "), never from arguments.\n" +
			"It ends with code 1 if something is missing that the plugin cannot do without.",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := scope.Options{Channel: channel, Client: client}
			var err error
			if o.Bot, err = readToken(botFile, envBotToken); err != nil {
				return err
			}
			if o.App, err = readToken(appFile, envAppToken); err != nil {
				return err
			}
			if o.Bot == "" {
				return model.Errorf(model.Invalid, "cannot check: give the bot token by --bot-token-file or %s", envBotToken)
			}
			if o.URL, err = apiURL(address); err != nil {
				return err
			}
			defer client.CloseIdleConnections()
			return printFindings(cmd.OutOrStdout(), scope.Check(cmd.Context(), o))
		},
	}
	cmd.Flags().StringVar(&botFile, "bot-token-file", "", "`file` with the bot token")
	cmd.Flags().StringVar(&appFile, "app-token-file", "", "`file` with the app-level token")
	cmd.Flags().StringVar(&address, "api-url", "", "base `URL` of the Web API")
	cmd.Flags().StringVar(&channel, "channel", "", "`channel` to post to, by its ID or as #NAME")
	return cmd
}

// readToken reads a token from a file, else from the environment.
func readToken(file, env string) (string, error) {
	if file == "" {
		return strings.TrimSpace(os.Getenv(env)), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return "", model.Errorf(model.Invalid, "cannot read the token: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxTokenFile))
	if err != nil {
		return "", model.Errorf(model.Invalid, "cannot read the token: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// printFindings prints a table, and returns an error if something failed.
func printFindings(w io.Writer, list []scope.Finding) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	failed := 0
	for _, f := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\n", f.Verdict, f.What, f.Detail)
		if f.Verdict == scope.Fails {
			failed++
		}
	}
	err := table.Flush()
	if failed > 0 {
		return cmp.Or(err, error(model.Errorf(model.Invalid, "%d of %d checks failed", failed, len(list))))
	}
	return err
}
