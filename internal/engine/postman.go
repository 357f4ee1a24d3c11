package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/pipe-pg/pipe/internal/payment"
)

// A Carrier hands letters to a mail server. payment.ErrUndeliverable says that trying again is in vain.
type Carrier interface {
	Send(ctx context.Context, l payment.Letter) error
}

// A Postman sends due letters: at least once each, the row is the job.
type Postman struct {
	Store   Store
	Sealer  Sealer
	Carrier Carrier
	Log     *slog.Logger
}

// mailPauses are the pauses after each failed try but the last; then a letter is parked. Links in letters work for an hour to a
// week, so that later ones are of no use.
func mailPauses() []time.Duration {
	return []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 12 * time.Hour}
}

// Step sends the letters that are due, one after the other, at most MailBatch. A crash leaves a lease: when it is over, the
// letter is sent again, with the same Message-ID.
func (p *Postman) Step(ctx context.Context) error {
	for range MailBatch {
		var due []payment.Mail
		err := p.Store.Update(ctx, func(tx Tx) (err error) {
			due, err = tx.ClaimMails(tx.Now(), MailLease, 1)
			return err
		})
		if err != nil {
			return fmt.Errorf("claim letters: %w", err)
		}
		if len(due) == 0 {
			return nil
		}
		if err := p.send(ctx, due[0]); err != nil {
			return err
		}
	}
	return nil
}

// send sends one letter and books what became of it.
func (p *Postman) send(ctx context.Context, m payment.Mail) error {
	l, err := p.open(m)
	if err == nil {
		err = p.Carrier.Send(ctx, l)
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // the program stops: the lease brings the letter back
	}
	fence := m.Fence
	m.Attempts++
	m.LeaseUntil = time.Time{}
	return p.Store.Update(ctx, func(tx Tx) error {
		m := m
		switch pauses := mailPauses(); {
		case err == nil:
			m.State, m.Sealed, m.DoneAt, m.Detail = payment.MailSent, nil, tx.Now(), ""
		case errors.Is(err, payment.ErrUndeliverable), m.Attempts > len(pauses):
			m.State, m.DoneAt, m.Detail = payment.MailParked, tx.Now(), clip(err.Error(), MaxMailDetail)
			p.Log.ErrorContext(ctx, "letter is given up", "letter", m.ID, "kind", m.Kind, "tries", m.Attempts, "why", m.Detail)
		default:
			m.DueAt, m.Detail = tx.Now().Add(pauses[m.Attempts-1]), clip(err.Error(), MaxMailDetail)
			p.Log.WarnContext(ctx, "letter is tried again later", "letter", m.ID, "kind", m.Kind, "tries", m.Attempts, "due", m.DueAt, "why", m.Detail)
		}
		if err := tx.SwapMail(m, fence); !errors.Is(err, payment.ErrConflict) {
			return err
		}
		return nil // the lease was over, and another sends it
	})
}

func (p *Postman) open(m payment.Mail) (payment.Letter, error) {
	l := payment.Letter{ID: m.ID, To: m.To, Language: m.Language, Kind: m.Kind, At: m.CreatedAt}
	clear, err := p.Sealer.Open(m.Sealed)
	if err != nil {
		return l, fmt.Errorf("open letter: %w", err)
	}
	if err := json.Unmarshal(clear, &l.Values); err != nil {
		return l, fmt.Errorf("read letter: %w", err)
	}
	return l, nil
}
