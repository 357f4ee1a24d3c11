package store

import (
	"cmp"
	"time"

	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// AddMail stores a letter.
func (t *tx) AddMail(m payment.Mail) error {
	return t.fail("add mail", t.q.AddMail(t.ctx, row.AddMailParams{
		ID: string(m.ID), Recipient: m.To, Language: string(m.Language), Kind: string(m.Kind), Sealed: bytes(m.Sealed),
		State: string(m.State), Attempts: int64(m.Attempts), Detail: m.Detail, CreatedAt: millis(m.CreatedAt), DueAt: millis(m.DueAt),
		LeaseUntil: millis(m.LeaseUntil), Fence: m.Fence, DoneAt: millis(m.DoneAt), LinkID: string(m.LinkID),
	}))
}

// Mail finds a letter.
func (t *tx) Mail(id payment.ID) (payment.Mail, error) {
	r, err := t.q.Mail(t.ctx, string(id))
	return letter(r), t.fail("find mail", err)
}

// SwapMail saves a letter if its fence is still this one, and raises the fence.
func (t *tx) SwapMail(m payment.Mail, fence int64) error {
	n, err := t.q.SwapMail(t.ctx, row.SwapMailParams{
		Sealed: bytes(m.Sealed), State: string(m.State), Attempts: int64(m.Attempts), Detail: m.Detail, DueAt: millis(m.DueAt),
		LeaseUntil: millis(m.LeaseUntil), DoneAt: millis(m.DoneAt), ID: string(m.ID), Fence: fence,
	})
	return t.swapped("save mail", n, err)
}

// ClaimMails takes due letters, the longest due first.
func (t *tx) ClaimMails(now time.Time, lease time.Duration, limit int) ([]payment.Mail, error) {
	rows, err := t.q.ClaimMails(t.ctx, row.ClaimMailsParams{LeaseUntil: millis(now.Add(lease)), Now: millis(now), Most: atMost(limit)})
	return plainly(rows, letter), t.fail("claim mails", err)
}

// ParkedMails are the letters that were given up before an id, the newest first.
func (t *tx) ParkedMails(before payment.ID, limit int) ([]payment.Mail, error) {
	rows, err := t.q.ParkedMails(t.ctx, row.ParkedMailsParams{Before: cmp.Or(string(before), lastID), Most: atMost(limit)})
	return plainly(rows, letter), t.fail("list letters that were given up", err)
}

// CountParkedMails counts the letters that were given up, to a limit.
func (t *tx) CountParkedMails(limit int) (int, error) {
	n, err := t.q.CountParkedMails(t.ctx, atMost(limit))
	return int(n), t.fail("count letters that were given up", err)
}

// CountUnreached counts the letters to an address that were given up, to a limit.
func (t *tx) CountUnreached(to string, limit int) (int, error) {
	n, err := t.q.CountUnreached(t.ctx, row.CountUnreachedParams{Recipient: to, Most: atMost(limit)})
	return int(n), t.fail("count letters to somebody that were given up", err)
}

// LinkMails are the letters with a one-time link, the newest first.
func (t *tx) LinkMails(link payment.ID, limit int) ([]payment.Mail, error) {
	rows, err := t.q.LinkMails(t.ctx, row.LinkMailsParams{LinkID: string(link), Most: atMost(limit)})
	return plainly(rows, letter), t.fail("list letters with a link", err)
}

// RemoveMail forgets a letter if its fence is still this one.
func (t *tx) RemoveMail(m payment.Mail) error {
	n, err := t.q.RemoveMail(t.ctx, row.RemoveMailParams{ID: string(m.ID), Fence: m.Fence})
	return t.swapped("remove mail", n, err)
}

// PruneMails forgets letters that were done before a time.
func (t *tx) PruneMails(before time.Time, limit int) (int, error) {
	n, err := t.q.PruneMails(t.ctx, row.PruneMailsParams{DoneAt: millis(before), Most: atMost(limit)})
	return int(n), t.fail("prune mails", err)
}

func letter(r row.Mail) payment.Mail {
	return payment.Mail{
		ID: payment.ID(r.ID), To: r.Recipient, Language: payment.Language(r.Language), Kind: payment.MailKind(r.Kind), Sealed: r.Sealed,
		State: payment.MailState(r.State), Attempts: int(r.Attempts), Detail: r.Detail, CreatedAt: at(r.CreatedAt), DueAt: at(r.DueAt),
		LeaseUntil: at(r.LeaseUntil), Fence: r.Fence, DoneAt: at(r.DoneAt), LinkID: payment.ID(r.LinkID),
	}
}
