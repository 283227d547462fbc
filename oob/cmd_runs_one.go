package main

import (
	"bytes"
	"context"
	"io"

	"github.com/spf13/cobra"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// newRunsShowCommand makes "runs show".
func newRunsShowCommand(a *app) *cobra.Command {
	var log, follow bool
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Show one run, or its log; the ID may be cut to its first characters",
		Example: "  oob runs show 7f3c\n  oob runs show 7f3c --log -f",
		Args:    wants(1, 1, "the ID of one run"),

		ValidArgsFunction: a.completesOne(runIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *client.Client) error {
				if log || follow {
					return a.showLog(cmd.Context(), c, args[0], follow)
				}
				return a.showRun(cmd.Context(), c, args[0])
			})
		},
	}
	cmd.Flags().BoolVar(&log, "log", false, "print its log: what the plugin wrote of it, the end of that")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "print the log as it grows, until the run has ended")
	return cmd
}

// showLog prints the log of a run, and with follow what comes of it.
func (a *app) showLog(ctx context.Context, c *client.Client, id string, follow bool) error {
	r, err := findRun(ctx, c, id)
	if err != nil {
		return err
	}
	path := client.Path("runs", r.ID, "log")
	if follow {
		path += "?follow=true"
	}
	out := &cleanLines{out: a.stdout}
	err = c.Download(ctx, path, out)
	if ended := out.end(); err == nil {
		err = ended
	}
	if follow {
		err = unlessEnded(ctx, err)
	}
	return err
}

// cleanLines writes lines that are safe for a terminal.
type cleanLines struct {
	out  io.Writer
	rest []byte // the beginning of a line
}

// maxLogLine is how much of a line is waited for before it is written.
const maxLogLine = 64 << 10

// Write writes the lines that are complete.
func (w *cleanLines) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		line, rest, complete := bytes.Cut(w.rest, []byte("\n"))
		if !complete {
			if len(line) < maxLogLine {
				return len(p), nil
			}
			rest = nil
		}
		if _, err := io.WriteString(w.out, clean(string(line))+"\n"); err != nil {
			return 0, err
		}
		w.rest = append(w.rest[:0], rest...)
	}
}

// end writes what came without an end of its line.
func (w *cleanLines) end() error {
	if len(w.rest) == 0 {
		return nil
	}
	_, err := w.Write([]byte("\n"))
	return err
}

// newRunsCancelCommand makes "runs cancel".
func newRunsCancelCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "cancel ID",
		Short: "Cancel a run that was not sent yet, or that can be given up",
		Long: `Cancel a run that waits for its plugin: nothing was sent, and nothing will be.
One that was sent goes on, and says until when, unless its action can be given
up.`,
		Args: wants(1, 1, "the ID of one run"),

		ValidArgsFunction: a.completesOne(runIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *client.Client) error {
				r, err := findRun(cmd.Context(), c, args[0])
				if err != nil {
					return err
				}
				ended := &model.Run{}
				if err := c.Post(cmd.Context(), client.Path("runs", r.ID, "cancel"), map[string]any{}, ended); err != nil {
					return err
				}
				return a.printState("run", r.ID, string(ended.State)+": "+outcomeOf(ended))
			})
		},
	}
}
