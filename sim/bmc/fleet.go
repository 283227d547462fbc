package bmc

import (
	"errors"
	"fmt"
	"net"
	"sync"
)

// Fleet is a number of BMCs that listen until Close.
type Fleet struct {
	bmcs []*BMC
	wg   sync.WaitGroup // the goroutine of each BMC

	closeOnce sync.Once
	closeErr  error
}

// New builds the fleet o describes. It is listening when New returns.
func New(o Options) (*Fleet, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("cannot simulate BMCs: %w", err)
	}
	conns, err := listen(o)
	if err != nil {
		return nil, fmt.Errorf("cannot simulate BMCs: %w", err)
	}
	f := &Fleet{bmcs: make([]*BMC, len(conns))}
	registry := newRegistry()
	for i, conn := range conns {
		f.bmcs[i] = newBMC(&o, i, conn, registry)
	}
	for _, b := range f.bmcs {
		f.wg.Go(b.serve)
	}
	return f, nil
}

// Len returns the number of BMCs.
func (f *Fleet) Len() int { return len(f.bmcs) }

// BMC returns the i-th BMC, counted from 0. There must be one.
func (f *Fleet) BMC(i int) *BMC { return f.bmcs[i] }

// Close ends all BMCs. When it returns nothing of the fleet runs any more.
// A second call does nothing.
func (f *Fleet) Close() error {
	f.closeOnce.Do(func() {
		var errs []error
		for _, b := range f.bmcs {
			errs = append(errs, b.conn.Close())
		}
		f.wg.Wait()
		for _, b := range f.bmcs {
			b.stopTimers()
		}
		f.closeErr = errors.Join(errs...)
	})
	return f.closeErr
}

// closeAll closes sockets that nobody serves yet.
func closeAll(conns []*net.UDPConn) {
	for _, c := range conns {
		_ = c.Close() // nothing was sent on it
	}
}
