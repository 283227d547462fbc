package main

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// goodParams are enough.
func goodParams() model.Params {
	return model.Params{paramAddress: "10.0.0.1", paramUsername: "operator", paramPassword: testPassword}
}

func TestParseBoard(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		params model.Params
		host   string
		port   uint16
		kg     model.Secret
		uefi   bool
	}{
		"defaults":       {model.Params{}, "10.0.0.1", 623, "", false},
		"port 0":         {model.Params{paramPort: json.Number("0")}, "10.0.0.1", 623, "", false},
		"port":           {model.Params{paramPort: json.Number("6230")}, "10.0.0.1", 6230, "", false},
		"IPv6":           {model.Params{paramAddress: "2001:db8::1"}, "2001:db8::1", 623, "", false},
		"IPv6, brackets": {model.Params{paramAddress: " [2001:db8::1] "}, "2001:db8::1", 623, "", false},
		"zone":           {model.Params{paramAddress: "fe80::1%eth0"}, "fe80::1%eth0", 623, "", false},
		"name":           {model.Params{paramAddress: "bmc-7.example.net"}, "bmc-7.example.net", 623, "", false},
		"uefi":           {model.Params{paramBIOSMode: "uefi"}, "10.0.0.1", 623, "", true},
		"unknown mode":   {model.Params{paramBIOSMode: "unknown"}, "10.0.0.1", 623, "", false},
		"key":            {model.Params{paramKg: "a key"}, "10.0.0.1", 623, "a key", false},
		"key in hex":     {model.Params{paramKg: "0x61206b6579"}, "10.0.0.1", 623, "a key", false},
	} {
		t.Run(name, func(t *testing.T) {
			p := goodParams()
			for k, v := range tc.params {
				p[k] = v
			}
			b, err := parseBoard(p)
			if err != nil {
				t.Fatal(err)
			}
			if b.host != tc.host || b.port != tc.port || b.login.Kg != tc.kg || b.uefi != tc.uefi {
				t.Errorf("parsed as %+v", b)
			}
		})
	}
}

func TestParseBoardRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		params model.Params
		want   string
	}{
		"no address":       {model.Params{paramAddress: nil}, "param ipmi/address is not set"},
		"empty address":    {model.Params{paramAddress: ""}, "param ipmi/address is not set"},
		"no user":          {model.Params{paramUsername: ""}, "param ipmi/username is not set"},
		"no password":      {model.Params{paramPassword: nil}, "param ipmi/password is not set"},
		"number for a key": {model.Params{paramPassword: 17}, "param ipmi/password must be a string, not a number"},
		"text for a port":  {model.Params{paramPort: "623"}, "param ipmi/port-ipmitool must be an integer, not a string"},
		"port too big":     {model.Params{paramPort: 65536}, "param ipmi/port-ipmitool: 65536 is outside 0..65535"},
		"text for a flag":  {model.Params{paramPreferV6: "yes"}, "param ipmi/prefer-v6 must be a boolean, not a string"},
		"no real address":  {model.Params{paramAddress: "0.0.0.0"}, "not the address of a BMC"},
		"multicast":        {model.Params{paramAddress: "ff02::1"}, "not the address of a BMC"},
		"URL":              {model.Params{paramAddress: "https://bmc/"}, "neither an address nor a host name"},
		"address and port": {model.Params{paramAddress: "10.0.0.1:623"}, "the port is in ipmi/port-ipmitool"},
		"two lines":        {model.Params{paramAddress: "bmc\nname"}, "neither an address nor a host name"},
		"long name":        {model.Params{paramAddress: strings.Repeat("a", 300)}, "neither an address nor a host name"},
		"bad key":          {model.Params{paramKg: "0xsecret-digits"}, "not hexadecimal"},
	} {
		t.Run(name, func(t *testing.T) {
			p := goodParams()
			for k, v := range tc.params {
				p[k] = v
			}
			_, err := parseBoard(p)
			if model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error %v, want %q", err, tc.want)
			}
			if text := err.Error(); strings.Contains(text, "\n") || strings.Contains(text, "secret-digits") || len(text) > 300 {
				t.Errorf("error %q", text)
			}
		})
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"10.0.0.1":         "10.0.0.1:623",
		"::ffff:127.0.0.1": "127.0.0.1:623",
		"2001:db8::1":      "[2001:db8::1]:623",
	} {
		got, err := (&board{host: host, port: 623}).resolve(context.Background())
		if err != nil || got.String() != want {
			t.Errorf("%s: %v, %v, want %s", host, got, err, want)
		}
	}
	got, err := (&board{host: "localhost", port: 1}).resolve(context.Background())
	if err != nil || !got.Addr().IsLoopback() {
		t.Errorf("localhost: %v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = (&board{host: "name.invalid", port: 1}).resolve(ctx)
	if model.KindOf(err) != model.Unreachable || !strings.Contains(err.Error(), "name.invalid") {
		t.Errorf("name.invalid: %v", err)
	}
}

func TestIdentifyDuration(t *testing.T) {
	t.Parallel()
	for in, want := range map[any]time.Duration{
		nil: 60 * time.Second, 0: 0, 15: 15 * time.Second, 255: 255 * time.Second, 3600: 255 * time.Second,
	} {
		got, err := patientDriver().IdentifyDuration(model.Params{paramIdentify: in})
		if err != nil || got != want {
			t.Errorf("%v: %v, %v, want %v", in, got, err, want)
		}
	}
	if _, err := identifyDuration(model.Params{paramIdentify: "long"}); model.KindOf(err) != model.Invalid {
		t.Errorf("text: %v", err)
	}
	if _, err := identifyDuration(model.Params{paramIdentify: -1}); model.KindOf(err) != model.Invalid {
		t.Errorf("negative: %v", err)
	}
}

// FuzzParseHost takes any text for an address.
func FuzzParseHost(f *testing.F) {
	for _, s := range []string{"10.0.0.1", "[::1]", "host", "", "[", "]", "[]", "a b", "::%", "\x00", "fe80::1%en0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, err := parseHost(s)
		if err == nil && (host == "" || strings.ContainsAny(host, "\n \"'")) && !strings.Contains(host, "%") {
			t.Errorf("%q passes as %q", s, host)
		}
		if addr, perr := netip.ParseAddr(host); err == nil && perr == nil && addr.IsUnspecified() {
			t.Errorf("%q passes as %v", s, addr)
		}
	})
}
