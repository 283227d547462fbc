package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

// ask is act for an action whose answer is a bare resource.
func ask(p *driver.Provider, command string, addr netip.AddrPort, more ...model.Params) (any, error) {
	params := paramsOf(addr)
	params["oob/timeout"] = 20
	for _, m := range more {
		for name, v := range m {
			params[name] = v
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return p.Action(ctx, &model.Action{
		Model: &model.Machine{Name: "m1", Uuid: addr.String()}, Command: command, Params: params,
	})
}

// pluginIn is a driver that keeps what it learns in dir, and its provider.
func pluginIn(tb testing.TB, dir string) (*ipmiDriver, *driver.Provider) {
	tb.Helper()
	d := patientDriver()
	log := slog.New(slog.DiscardHandler)
	if err := errors.Join(d.broker.Remember(dir, log), d.devices.remember(dir, log)); err != nil {
		tb.Fatal(err)
	}
	return d, driver.NewProvider(d, driver.Options{})
}
