package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"

	"github.com/spf13/cobra"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// maxBinary bounds a plugin's binary.
const maxBinary = 256 << 20

// providerName is how the file of a provider may be called.
var providerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// newPluginUploadCommand makes "plugin upload".
func newPluginUploadCommand(a *app) *cobra.Command {
	var name string
	var yes bool
	cmd := &cobra.Command{
		Use:   "upload FILE",
		Short: "Put a plugin's binary into the plugin directory, in place of the one of its name",
		Long: `Put a plugin's binary into the plugin directory, in place of the one of its
name. It runs with the rights of the endpoint: it is asked about on a terminal,
and needs --yes without one.`,
		Args: wants(1, 1, "one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if name == "" {
				name = filepath.Base(args[0])
			}
			if !providerName.MatchString(name) {
				return usage("%q cannot be a plugin's name; give --name", name)
			}
			blob, err := readBinary(args[0])
			if err != nil {
				return err
			}
			if err := a.confirmThe(cmd.Context(), "plugin upload", "plugin", []string{name}, yes); err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				var put struct {
					Path string `json:"path"`
					Size int64  `json:"size"`
				}
				if err := c.Upload(cmd.Context(), client.Path("plugin_providers", name), blob, &put); err != nil {
					return err
				}
				p, err := findProvider(cmd.Context(), c, name)
				if err != nil {
					return err
				}
				return a.printPlugin(name, fmt.Sprintf("uploaded %d bytes, version %s", len(blob), p.Version))
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "`NAME` in the plugin directory (default: the file's)")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// readBinary reads a program.
func readBinary(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usage("cannot upload: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		return nil, usage("cannot upload: %s is not a regular file", path)
	}
	blob, err := io.ReadAll(io.LimitReader(f, maxBinary+1))
	switch {
	case err != nil:
		return nil, usage("cannot upload: %w", err)
	case len(blob) == 0:
		return nil, usage("cannot upload: %s is empty", path)
	case len(blob) > maxBinary:
		return nil, usage("cannot upload: %s is larger than %d MiB", path, maxBinary>>20)
	case bytes.HasPrefix(blob, []byte("#!")), bytes.HasPrefix(blob, []byte("\x7fELF")):
		return blob, nil
	}
	return nil, usage("cannot upload: %s is not a program", path)
}

// newPluginDownloadCommand makes "plugin download".
func newPluginDownloadCommand(a *app) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "download NAME",
		Short: "Write a plugin's binary to a new file",
		Args:  wants(1, 1, "the NAME of one plugin provider"),

		ValidArgsFunction: a.completesOne(providerNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				out = filepath.Base(args[0])
			}
			return a.withClient(func(c *client.Client) error { return a.downloadPlugin(cmd.Context(), c, args[0], out) })
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "the new `FILE` (default: the plugin's name, here)")
	return cmd
}

// downloadPlugin writes a binary to a new file. What came only in part is
// removed.
func (a *app) downloadPlugin(ctx context.Context, c *client.Client, name, out string) error {
	f, err := os.OpenFile(out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return usage("cannot download: %w", err)
	}
	err = c.Download(ctx, client.Path("plugin_providers", name, "binary"), f)
	if closed := f.Close(); err == nil && closed != nil {
		err = model.Errorf(model.Internal, "cannot write %s: %w", out, closed)
	}
	if err != nil {
		_ = os.Remove(out) // the error below says why
		return instead(err, model.NotFound, "no plugin provider is called %s; `oob plugin list` lists them", name)
	}
	return a.printPlugin(name, "written to "+out)
}

// newPluginTrustCommand makes "plugin trust".
func newPluginTrustCommand(a *app) *cobra.Command {
	var revoke, yes bool
	cmd := &cobra.Command{
		Use:   "trust NAME",
		Short: "Let a plugin that does not say what it needs do everything, or no longer",
		Long: `Let a plugin that does not say what it needs do everything at the endpoint, as
plugins of the reference expect. Without it such a plugin may only read.`,
		Args: wants(1, 1, "the NAME of one plugin provider"),

		ValidArgsFunction: a.completesOne(providerNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			verb, state := "plugin trust", "trusted"
			if revoke {
				verb, state = "plugin trust --revoke", "no longer trusted"
			}
			if err := a.confirmThe(cmd.Context(), verb, "plugin", args, yes); err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				path := client.Path("plugin_providers", args[0], "trust")
				var err error
				if revoke {
					err = c.Delete(cmd.Context(), path, new(json.RawMessage))
				} else {
					err = c.Post(cmd.Context(), path, map[string]any{}, new(json.RawMessage))
				}
				if err != nil {
					return instead(err, model.NotFound, "no plugin provider is called %s; `oob plugin list` lists them", args[0])
				}
				return a.printPlugin(args[0], state)
			})
		},
	}
	cmd.Flags().BoolVar(&revoke, "revoke", false, "take the trust back")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
