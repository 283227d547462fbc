package main

import (
	"context"
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"provision-plugins/ipmi/broker"
	"provision-plugins/ipmi/quirks"
	"provision-plugins/ipmi/rmcp"
	"provision-plugins/shared/model"
)

// The params of the driver.
const (
	paramAddress  = "ipmi/address"
	paramUsername = "ipmi/username"
	paramPassword = "ipmi/password"
	paramPort     = "ipmi/port-ipmitool"
	paramMode     = "ipmi/mode"
	paramKg       = "ipmi/kg"
	paramPreferV6 = "ipmi/prefer-v6"
	paramIdentify = "ipmi/identify-duration"
	paramInterval = "ipmi/min-interval"
	paramBIOSMode = "detected-bios-mode"
	paramStateDir = "ipmi/state-dir" // of the plugin; read by plugin.StateDir
	paramTryAgain = "ipmi/try-again" // of a request alone
	paramRestore  = "ipmi/power-restore-policy"
	paramReset    = "ipmi/bmc-reset"
	// The user whose password is changed, and to what.
	paramChangeUser  = "ipmi/change-user"
	paramNewPassword = "ipmi/new-password" // of a request alone
	paramConfirm     = "oob/confirm"       // of a request alone
)

// metaTable says what the columns of an inventory mean here, and which params
// say where the password is sent.
var metaTable = map[string]string{
	model.MetaColumns: `{"address":"ipmi/address","port":"ipmi/port-ipmitool","username":"ipmi/username","password":"ipmi/password"}`,
	model.MetaTargets: `{"ipmi/password":["ipmi/address","ipmi/port-ipmitool","ipmi/port-redfish","ipmi/tls","ipmi/tls-pin"],"ipmi/kg":["ipmi/address","ipmi/port-ipmitool"]}`,
}

// defaultPort is IPMI's (IPMI 2.0 §13.1.2).
const defaultPort = 623

// maxName bounds a host name (RFC 1035 §2.3.4).
const maxName = 253

// board is the BMC of one machine, as the params name it.
type board struct {
	host     string
	port     uint16
	preferV6 bool
	login    rmcp.Login
	// uefi tells that the machine's firmware boots the EFI way, told that this is
	// known.
	uefi, told bool
	// interval is as broker.Target has it; paced tells that it is not the default.
	interval time.Duration
	paced    bool
	override quirks.Override
}

// parseBoard reads the params. Its errors name the param.
func parseBoard(p model.Params) (*board, error) {
	texts := map[string]string{}
	for _, param := range []string{paramAddress, paramUsername, paramPassword, paramKg, paramBIOSMode} {
		text, err := p.String(param, "")
		if err != nil {
			return nil, err
		}
		texts[param] = text
	}
	for _, param := range []string{paramAddress, paramUsername, paramPassword} {
		if texts[param] == "" {
			return nil, model.Errorf(model.Invalid, "param %s is not set", param)
		}
	}
	port, err := p.Int(paramPort, 0, 0, 65535)
	if err != nil {
		return nil, err
	}
	if port == 0 {
		port = defaultPort
	}
	mode := texts[paramBIOSMode]
	b := &board{port: uint16(port), uefi: mode == "uefi", told: mode != "" && mode != "unknown"}
	if b.preferV6, err = p.Bool(paramPreferV6, false); err != nil {
		return nil, err
	}
	if b.interval, err = interval(p); err != nil {
		return nil, err
	}
	b.paced = b.interval != broker.DefaultInterval
	if b.override, err = parseQuirks(p); err != nil {
		return nil, err
	}
	if b.host, err = parseHost(texts[paramAddress]); err != nil {
		return nil, err
	}
	b.login = rmcp.Login{Username: texts[paramUsername], Password: model.Secret(texts[paramPassword])}
	b.login.Kg, err = parseKg(texts[paramKg])
	return b, err
}

// maxInterval bounds the distance between commands: a command that is sent once
// has only seconds.
const maxInterval = time.Second

// interval reads the least time between two commands, as broker.Target has it.
func interval(p model.Params) (time.Duration, error) {
	d, err := p.Seconds(paramInterval, broker.DefaultInterval, maxInterval)
	if err == nil && d == 0 {
		d = -1 // the Target's zero is the default
	}
	return d, err
}

// parseHost checks an address or name. An IPv6 address may stand in brackets.
func parseHost(text string) (string, error) {
	host := strings.TrimSpace(text)
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.IsUnspecified() || addr.IsMulticast() {
			return "", model.Errorf(model.Invalid, "param %s: %s is not the address of a BMC", paramAddress, addr)
		}
		return addr.String(), nil
	}
	if len(host) > maxName || host == "" || strings.ContainsAny(host, ":/@[]\\\"' \t\r\n\x00") {
		return "", model.Errorf(model.Invalid,
			"param %s: %.80q is neither an address nor a host name; the port is in %s", paramAddress, text, paramPort)
	}
	return host, nil
}

// parseKg reads the BMC key, which may be written in hexadecimal.
func parseKg(text string) (model.Secret, error) {
	digits, isHex := strings.CutPrefix(text, "0x")
	if !isHex {
		return model.Secret(text), nil
	}
	raw, err := hex.DecodeString(digits)
	if err != nil {
		// The cause would show a digit of the key.
		return "", model.Errorf(model.Invalid, "param %s begins with 0x, but is not hexadecimal", paramKg)
	}
	return model.Secret(raw), nil
}

// resolve returns the address to send to.
func (b *board) resolve(ctx context.Context) (netip.AddrPort, error) {
	if addr, err := netip.ParseAddr(b.host); err == nil {
		return netip.AddrPortFrom(addr.Unmap(), b.port), nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", b.host)
	if err != nil || len(addrs) == 0 {
		return netip.AddrPort{}, model.Errorf(model.Unreachable, "BMC %s: name not resolved; check %s and the name servers: %w",
			b.host, paramAddress, err)
	}
	i := max(0, slices.IndexFunc(addrs, func(a netip.Addr) bool { return a.Unmap().Is6() == b.preferV6 }))
	return netip.AddrPortFrom(addrs[i].Unmap(), b.port), nil
}

// The bounds of the locator: a BMC counts in one byte (IPMI 2.0 §28.5).
const (
	defaultIdentify = 60 * time.Second
	maxIdentify     = 255 * time.Second
)

// identifyDuration reads how long to light the locator.
func identifyDuration(p model.Params) (time.Duration, error) {
	d, err := p.Seconds(paramIdentify, defaultIdentify, 24*time.Hour)
	return min(d, maxIdentify), err
}
