package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"provision-plugins/endpoint/backup"
	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// newBackupCommand makes "backup".
func newBackupCommand(a *app) *cobra.Command {
	var withKey bool
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write all that the endpoint stores into one file",
		Long: `Write a snapshot of all that the endpoint stores: machines, profiles, params,
users, contents, runs and the audit trail, as they are at one moment, while it
goes on working. "oob restore" makes an endpoint's data of it. The file is
checked line by line before it gets its name, and is readable by you alone.

Secrets are in it as they are stored, sealed. To open them an endpoint needs its
master key, which is in the file only with --with-key: keep such a file as you
would keep the passwords. Uploaded files and plugin binaries are not in it.`,
		Example: "  oob backup /backup/oob.snapshot\n  oob backup --with-key /safe/oob.snapshot",
		Args:    wants(1, 1, "one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *client.Client) error { return a.backup(cmd.Context(), c, args[0], withKey) })
		},
	}
	cmd.Flags().BoolVar(&withKey, "with-key", false, "with the master key that opens the secrets in it")
	return cmd
}

// backup writes a snapshot into a file.
func (a *app) backup(ctx context.Context, c *client.Client, file string, withKey bool) error {
	path := "backup"
	if withKey {
		path += "?key=true"
	}
	var counts backup.Counts
	err := backup.Replace(file, func(w io.Writer) error {
		f, ok := w.(io.ReadWriteSeeker)
		if !ok {
			return model.Errorf(model.Internal, "cannot read %s back", file)
		}
		if err := c.Download(ctx, path, f); err != nil {
			return err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		var err error
		_, counts, err = backup.Check(f)
		return err
	})
	if err != nil {
		return err
	}
	return a.tellCounts("saved", file, counts)
}

// tellCounts prints what is in a snapshot.
func (a *app) tellCounts(what, file string, counts backup.Counts) error {
	if a.flags.json {
		return a.printJSON(map[string]any{"file": file, "objects": counts.Objects, "records": counts.Records, "audit": counts.Audit})
	}
	_, err := fmt.Fprintf(a.stdout, "%s %s, %s, %s of the audit trail: %s\n", what,
		count(counts.Objects, "object"), count(counts.Records, "run record"), count(counts.Audit, "part"), file)
	return err
}

// newRestoreCommand makes "restore".
func newRestoreCommand(a *app) *cobra.Command {
	var dataDir string
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make an endpoint's data of a file that oob backup wrote",
		Long: `Put a snapshot in the place of all that an endpoint stores. The endpoint must
not run: its data directory is opened. The whole file is checked before anything
is touched, and the directory has the old data or all of the new, whatever
happens meanwhile.

What is not in a snapshot stays: plugin binaries, uploaded files, certificates,
the admin's password, and the master key, unless the snapshot has one and the
directory has none.`,
		Example: "  systemctl stop oob && oob restore /backup/oob.snapshot && systemctl start oob",
		Args:    wants(1, 1, "one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.restore(cmd.Context(), args[0], dataDir)
		},
	}
	cmd.Flags().StringVar(&dataDir, "data-dir", "", "`DIR` of the endpoint's data (default as of serve)")
	return cmd
}

// restore puts a snapshot into a data directory.
func (a *app) restore(ctx context.Context, file, dir string) error {
	var err error
	if dir == "" {
		if dir, err = a.defaultDataDir(); err != nil {
			return err
		}
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return usage("cannot find %s: %w", dir, err)
	}
	if _, err := os.Stat(file); err != nil {
		return usage("cannot read %s: %w", file, err)
	}
	got, err := backup.Restore(ctx, file, backup.Target{Dir: dir})
	if err != nil {
		return err
	}
	if got.KeyMissing && !a.flags.json {
		fmt.Fprintf(a.stderr, "Note: %s has no master key. Put the one that the snapshot was made with there before the endpoint starts, or hand it over as it was.\n", dir)
	}
	return a.tellCounts("restored", dir, got.Counts)
}
