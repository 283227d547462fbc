package scripts

import (
	"slices"
	"strings"
	"testing"
)

const (
	certificate = "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQ0VSVElGSUNBVEU=\n-----END CERTIFICATE-----"
	key         = "-----BEGIN PRIVATE KEY-----\nTk9UIEEgS0VZ\n-----END PRIVATE KEY-----"
	request     = "-----BEGIN CERTIFICATE REQUEST-----\nUkVRVUVTVA==\n-----END CERTIFICATE REQUEST-----"
)

// names are the params that IPMI alone has no commands for.
var names = params{
	"ipmi/configure/network": true, "ipmi/configure/hostname": "bmc1", "ipmi/configure/domain": "example.org", "ipmi/configure/timezone": "Etc/UTC",
	"ipmi/configure/dns-servers": []any{"10.0.0.2", "10.0.0.3"}, "ipmi/configure/ntp-servers": []any{"10.0.0.4"},
}

func TestDellNames(t *testing.T) {
	t.Parallel()
	r := newRig(t, board(says("racadm get iDRAC.NIC.DNSRacName", "[Key=iDRAC.Embedded.1#NIC.1]\nDNSRacName=bmc1\n"))...)
	r.vendor = "Dell Inc."
	r.install("racadm")
	r.ok(r.run("ipmi-configure", names), "the BMC is configured")
	want := []string{
		"set iDRAC.NIC.DNSDomainFromDHCP Disabled", "set iDRAC.NIC.DNSDomainName example.org", "set iDRAC.Time.Timezone Etc/UTC",
		"set iDRAC.IPv4.DNSFromDHCP Disabled", "set iDRAC.IPv4.DNS1 10.0.0.2", "set iDRAC.IPv4.DNS2 10.0.0.3",
		"set iDRAC.NTPConfigGroup.NTPEnable Enabled", "set iDRAC.NTPConfigGroup.NTP1 10.0.0.4",
	}
	got := slices.DeleteFunc(r.calls("racadm"), func(c string) bool { return strings.HasPrefix(c, "get ") })
	if !slices.Equal(got, want) {
		t.Errorf("racadm was called with %q", got)
	}
	r.answers = append(r.answers, always("racadm set *"))
	r.failed(r.run("ipmi-configure", names), "set iDRAC.NIC.DNSDomainFromDHCP: racadm failed")
	r.remove("racadm")
	r.failed(r.run("ipmi-configure", names), "racadm is not installed here")
}

func TestHPENames(t *testing.T) {
	t.Parallel()
	r := newRig(t, board()...)
	r.vendor = "HPE"
	r.install("hponcfg")
	r.ok(r.run("ipmi-configure", params{"ipmi/configure/network": true, "ipmi/configure/hostname": `a"<&`}), "configured")
	if got := r.read("given.hponcfg"); !strings.Contains(got, `<DNS_NAME VALUE="a&quot;&lt;&amp;"/>`) || !strings.Contains(got, `MODE="write"`) {
		t.Errorf("hponcfg was given %q", got)
	}
	r.ok(r.run("ipmi-configure", names), "configured")
	if got := r.read("given.hponcfg"); !strings.Contains(got, `<SNTP_SERVER1 VALUE="10.0.0.4"/>`) || len(r.calls("hponcfg")) != 6 {
		t.Errorf("hponcfg was called %q and given %q", r.calls("hponcfg"), got)
	}
}

func TestLenovoNames(t *testing.T) {
	t.Parallel()
	r := newRig(t, board()...)
	r.vendor = "Lenovo"
	r.install("onecli")
	r.ok(r.run("ipmi-configure", names), "configured")
	want := []string{
		"config set IMM.HostName1 bmc1", "config set IMM.DomainName example.org", "config set IMM.TimeZone Etc/UTC",
		"config set IMM.DNS_IP_Address1 10.0.0.2", "config set IMM.DNS_IP_Address2 10.0.0.3", "config set IMM.NTPHost1 10.0.0.4",
	}
	if got := r.calls("onecli"); !slices.Equal(got, want) {
		t.Errorf("onecli was called with %q", got)
	}
	r.answers = append(r.answers, always("onecli *"))
	r.failed(r.run("ipmi-configure", names), "set IMM.HostName1: onecli failed")
}

// What cannot be done on a manufacturer's BMC is told, one line each.
func TestOtherNames(t *testing.T) {
	t.Parallel()
	r := newRig(t, board()...)
	res := r.run("ipmi-configure", names)
	r.ok(res, "configured")
	r.wantChanges("mc setsysinfo system_name bmc1")
	if strings.Count(res.errs, "warning: the ") != 4 {
		t.Errorf("said %q", res.errs)
	}
	r.failed(r.run("ipmi-configure", params{"ipmi/configure/generate-csr": true}), "no tool is known")
	r.failed(r.run("ipmi-install-cert-or-key", params{"ipmi/configure/certificate": certificate}), "no tool is known")
}

func TestSigningRequest(t *testing.T) {
	t.Parallel()
	set := params{"ipmi/configure/generate-csr": true, "ipmi/configure/post-csr-task": "sign-it", "ipmi/configure/cert-org": "Example & Sons"}
	r := newRig(t, board(says("hponcfg -f *", "<RIBCL>\n<X>\n"+request+"\n</X>"))...)
	r.vendor = "HPE"
	r.install("hponcfg")
	r.ok(r.run("ipmi-configure", set), "ipmi/csr is set")
	if r.param("ipmi/csr") != request {
		t.Errorf("ipmi/csr is %q", r.param("ipmi/csr"))
	}
	if got := r.read("given.hponcfg"); !strings.Contains(got, `<CSR_ORGANIZATION VALUE="Example &amp; Sons"/>`) || !strings.Contains(got, `<CSR_COMMON_NAME VALUE="m1.local"/>`) {
		t.Errorf("hponcfg was given %q", got)
	}
	if got := r.calls("drpcli"); !slices.Contains(got, "machines tasks add "+machineID+" at 0 sign-it") {
		t.Errorf("drpcli was called with %q", got)
	}
	r.ok(r.run("ipmi-configure", set), "ipmi/csr is set already")

	r = newRig(t, board(says("hponcfg -f *", "in progress"))...)
	r.vendor = "Hewlett Packard Enterprise"
	r.install("hponcfg")
	r.failed(r.run("ipmi-configure", set), "the BMC answered with none")
	r.answers = append(r.answers, always("hponcfg *"))
	r.failed(r.run("ipmi-configure", set), "hponcfg failed")
}

func TestDellSigningRequest(t *testing.T) {
	t.Parallel()
	r := newRig(t, board()...)
	r.vendor = "Dell Inc."
	r.write(0o700, "#!/bin/sh\nprintf '%s\\n' \"racadm $*\" >>\"$RIG/calls\"\ncase $1 in sslcsrgen) printf '%s\\n' '"+request+"' >\"$4\" ;; esac\n", "bin", "racadm")
	r.ok(r.run("ipmi-configure", params{"ipmi/configure/generate-csr": true}), "ipmi/csr is set")
	if r.param("ipmi/csr") != request || !slices.Contains(r.calls("racadm"), "set iDRAC.Security.CsrCommonName m1.local") {
		t.Errorf("ipmi/csr is %q after %q", r.param("ipmi/csr"), r.calls("racadm"))
	}
}

// cert are the params of a certificate with its key.
var cert = params{"ipmi/configure/certificate": certificate, "ipmi/configure/key": key}

func TestInstallCertificateAndKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, board()...)
	r.vendor = "Dell Inc."
	r.install("racadm")
	r.ok(r.run("ipmi-install-cert-or-key", cert), "the certificate is installed")
	var got []string
	for _, c := range r.calls("racadm") {
		got = append(got, strings.Join(strings.Fields(c)[:2], " "))
	}
	if !slices.Equal(got, []string{"sslkeyupload -t", "sslcertupload -t", "racreset soft"}) {
		t.Errorf("racadm was called with %q", got)
	}
	if modes := r.read("modes"); modes != "600\n600\n" {
		t.Errorf("the files have modes %q", modes)
	}
	for call, want := range map[string]string{"racadm sslkeyupload *": "install the key", "racadm sslcertupload *": "install the certificate", "racadm racreset *": "restart the iDRAC"} {
		r.answers = append(board(), always(call))
		r.failed(r.run("ipmi-install-cert-or-key", cert), want)
	}
}

func TestInstallCertificateOnHPE(t *testing.T) {
	t.Parallel()
	r := newRig(t, board()...)
	r.vendor = "HPE"
	r.install("hponcfg")
	r.failed(r.run("ipmi-install-cert-or-key", cert), "an iLO makes its own")
	if got := r.calls("hponcfg"); len(got) > 0 {
		t.Errorf("hponcfg was called with %q", got)
	}
	r.set("ipmi/configure/key", "")
	r.ok(r.run("ipmi-install-cert-or-key", params{"ipmi/configure/certificate": certificate}), "installed")
	if got := r.read("given.hponcfg"); !strings.Contains(got, "<IMPORT_CERTIFICATE>"+certificate+"</IMPORT_CERTIFICATE>") {
		t.Errorf("hponcfg was given %q", got)
	}
}

func TestInstallCertificateRefuses(t *testing.T) {
	t.Parallel()
	for want, set := range map[string]params{
		"ipmi/configure/certificate is not PEM": {"ipmi/configure/certificate": "MIIB"},
		"ipmi/configure/key is not PEM":         {"ipmi/configure/certificate": certificate, "ipmi/configure/key": "hunter2-hunter2"},
		"certificate is not set":                {"ipmi/configure/key": key},
	} {
		r := newRig(t, board()...)
		r.vendor = "Dell Inc."
		r.install("racadm")
		r.failed(r.run("ipmi-install-cert-or-key", set), want)
		if got := r.calls("racadm"); len(got) > 0 {
			t.Errorf("racadm was called with %q", got)
		}
	}
	r := newRig(t, board()...)
	r.ok(r.run("ipmi-install-cert-or-key", nil), "nothing to do")
}
