package rmcp

import (
	"context"
	"testing"
	"time"

	"github.com/bougou/go-ipmi/pkg/command/chassis"

	"provision-plugins/ipmi/udptest"
	"provision-plugins/shared/model"
)

// TestCloseEndsWaits: who waits for an answer, in a session or for one, is told of
// the Transport's end, and does not wait for its own time to be up.
func TestCloseEndsWaits(t *testing.T) {
	asked := make(chan struct{}, 8)
	p := udptest.New(t, startOrderly(t).Addr(), udptest.Pass)
	tr := NewTransport()
	tr.FirstTry = time.Minute // the next try would tell, too
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	s := openTo(t, tr, p.Addr())
	p.SetFilter(func(udptest.Datagram) [][]byte {
		asked <- struct{}{}
		return nil
	})
	ended := make(chan error, 2)
	go func() {
		ended <- s.Do(ctx, &Call{Request: &chassis.GetChassisStatusRequest{}, Class: model.Read})
	}()
	go func() {
		_, err := tr.Open(ctx, Target{Peer: p.Addr(), Login: login()})
		ended <- err
	}()
	<-asked
	<-asked
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-ended; reasonIn(err) != Closed {
			t.Errorf("the wait ended with %v", err)
		}
	}
}
