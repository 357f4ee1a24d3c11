package checkout

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// feed streams the state of an invoice: at once, and whenever it changed. Each event is the whole state, so a lost one does
// no harm. It looks when it is woken, and by itself every Recheck.
func (d *door) feed(w http.ResponseWriter, r *http.Request) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	release, ok := d.feeds.Take(web.Caller(web.PeerAddr(r.Context())) + "/" + string(id))
	if !ok {
		return web.TooMany()
	}
	defer release()
	wake, cancel, err := d.Wakes.Subscribe(id)
	if err != nil {
		return payment.Refuse(payment.Unavailable, payment.WordBusy, "no live feed is free: %s", err)
	}
	defer cancel()
	version, body, err := d.state(r, id)
	if err != nil {
		return err
	}
	f, err := web.OpenFeed(w, r)
	if err != nil {
		return err
	}
	if err := f.Send(version, body); err != nil {
		return err
	}
	return d.follow(r, id, f, feedTail{wake, version})
}

type feedTail struct {
	wake    <-chan struct{}
	version string
}

func (d *door) follow(r *http.Request, id payment.ID, f *web.Feed, t feedTail) error {
	recheck, beat := time.NewTicker(Recheck), time.NewTicker(web.SSEBeat)
	defer recheck.Stop()
	defer beat.Stop()
	for {
		select {
		case <-f.Gone():
			return nil
		case <-f.End():
			return nil
		case <-beat.C:
			if err := f.Beat(); err != nil {
				return leftQuietly(r.Context(), err)
			}
			continue
		case _, open := <-t.wake:
			if !open {
				t.wake = nil // no more wakes: the recheck goes on alone
			}
		case <-recheck.C:
		}
		version, body, err := d.state(r, id)
		if err != nil {
			return leftQuietly(r.Context(), err) // the reader comes back and asks anew
		}
		if version == t.version {
			continue
		}
		t.version = version
		if err := f.Send(version, body); err != nil {
			return leftQuietly(r.Context(), err)
		}
	}
}

// leftQuietly drops an error that only says that the reader left.
func leftQuietly(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

func (d *door) state(r *http.Request, id payment.ID) (version string, body []byte, err error) {
	v, err := d.Desk.Page(r.Context(), id)
	if err != nil {
		return "", nil, err
	}
	s := d.statusOf(d.catalogue(r, v.Invoice.Language), v)
	if body, err = json.Marshal(s); err != nil {
		return "", nil, fmt.Errorf("write status: %w", err)
	}
	return s.Version, body, nil
}
