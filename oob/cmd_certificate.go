package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"provision-plugins/endpoint/certificate"
)

// newCertificateCommand makes "certificate" and what is below it.
func newCertificateCommand(a *app) *cobra.Command {
	return groupCommand(&cobra.Command{
		Use:   "certificate",
		Short: "Show and renew the certificate that the endpoint has made itself",
	}, newCertificateShowCommand(a), newCertificateRenewCommand(a))
}

// bindDataDir adds the flag that says where an endpoint's data is.
func bindDataDir(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "data-dir", "", "`DIR` that `oob serve` has its data in (default as there)")
}

// dataDir is the data directory that a flag names, or the default.
func (a *app) dataDir(flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	return a.defaultDataDir()
}

// newCertificateShowCommand makes "certificate show".
func newCertificateShowCommand(a *app) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the certificate in the data directory, and the fingerprint to pin",
		Args:  none,
		RunE: func(*cobra.Command, []string) error {
			at, err := a.dataDir(dir)
			if err != nil {
				return err
			}
			return a.showCertificate(at)
		},
	}
	bindDataDir(cmd, &dir)
	return cmd
}

// showCertificate prints what there is to know of a certificate.
func (a *app) showCertificate(dir string) error {
	found, err := certificate.Describe(dir)
	if err != nil {
		return err
	}
	if a.flags.json {
		return a.printJSON(found)
	}
	renewed := "never: the endpoint has not made it"
	if !found.Renewed.IsZero() {
		renewed = "by itself, from " + stamp(found.Renewed)
	}
	return table(a.stdout, [][]string{
		{"file", found.File}, {"fingerprint", found.Fingerprint}, {"for", strings.Join(found.Names, " ")},
		{"until", stamp(found.Until)}, {"renewed", renewed},
	})
}

// newCertificateRenewCommand makes "certificate renew".
func newCertificateRenewCommand(a *app) *cobra.Command {
	var dir string
	var newKey bool
	cmd := &cobra.Command{
		Use:   "renew",
		Short: "Make the certificate in the data directory anew, before it is time",
		Long: `Make the certificate in the data directory anew, before it is time. The CA
stays, and with it the fingerprint that clients pin. A running endpoint shows
the new one within a second.`,
		Args: none,
		RunE: func(*cobra.Command, []string) error {
			at, err := a.dataDir(dir)
			if err != nil {
				return err
			}
			if err := certificate.Renew(at, time.Now(), newKey); err != nil {
				return err
			}
			return a.showCertificate(at)
		},
	}
	bindDataDir(cmd, &dir)
	cmd.Flags().BoolVar(&newKey, "new-key", false, "with a new key, where the old one may be known to others")
	return cmd
}
