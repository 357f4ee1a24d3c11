package store

import (
	"time"

	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// AddSession stores a log-in.
func (t *tx) AddSession(s payment.Session) error {
	return t.fail("add session", t.q.AddSession(t.ctx, row.AddSessionParams{
		ID: string(s.ID), Hash: bytes(s.Hash), UserID: string(s.UserID), MerchantID: string(s.MerchantID), Level: string(s.Level),
		CreatedAt: millis(s.CreatedAt), SeenAt: millis(s.SeenAt), Until: millis(s.Until), StepUpTill: millis(s.StepUpTill),
		Ip: s.IP, Agent: s.Agent, RevokedAt: millis(s.RevokedAt),
	}))
}

// SessionByHash finds a log-in, live or not.
func (t *tx) SessionByHash(hash []byte) (payment.Session, error) {
	r, err := t.q.SessionByHash(t.ctx, hash)
	return login(r), t.fail("find session", err)
}

// Sessions are a user's that are live now, the newest first.
func (t *tx) Sessions(user payment.ID, limit int) ([]payment.Session, error) {
	rows, err := t.q.Sessions(t.ctx, row.SessionsParams{
		UserID: string(user), Now: millis(t.now), Idle: millis(t.now.Add(-payment.SessionIdle)), Most: atMost(limit),
	})
	return plainly(rows, login), t.fail("list sessions", err)
}

// SwapSession saves what changes of a log-in if nobody changed it.
func (t *tx) SwapSession(s payment.Session) error {
	n, err := t.q.SwapSession(t.ctx, row.SwapSessionParams{
		MerchantID: string(s.MerchantID), SeenAt: millis(s.SeenAt), StepUpTill: millis(s.StepUpTill), Ip: s.IP, Agent: s.Agent,
		RevokedAt: millis(s.RevokedAt), ID: string(s.ID), Rev: s.Rev,
	})
	return t.swapped("save session", n, err)
}

// PruneSessions forgets log-ins that ended before a time.
func (t *tx) PruneSessions(before time.Time, limit int) (int, error) {
	n, err := t.q.PruneSessions(t.ctx, row.PruneSessionsParams{Until: millis(before), Most: atMost(limit)})
	return int(n), t.fail("prune sessions", err)
}

func login(r row.Session) payment.Session {
	return payment.Session{
		ID: payment.ID(r.ID), Hash: r.Hash, UserID: payment.ID(r.UserID), MerchantID: payment.ID(r.MerchantID),
		Level: payment.SessionLevel(r.Level), CreatedAt: at(r.CreatedAt), SeenAt: at(r.SeenAt), Until: at(r.Until),
		StepUpTill: at(r.StepUpTill), IP: r.Ip, Agent: r.Agent, RevokedAt: at(r.RevokedAt), Rev: r.Rev,
	}
}

// AddChallenge stores what a passkey ceremony was begun with.
func (t *tx) AddChallenge(c payment.Challenge) error {
	return t.fail("add challenge", t.q.AddChallenge(t.ctx, row.AddChallengeParams{
		Hash: bytes(c.Hash), UserID: string(c.UserID), Data: bytes(c.Data), Until: millis(c.Until),
	}))
}

// TakeChallenge finds a begun ceremony and removes it.
func (t *tx) TakeChallenge(hash []byte) (payment.Challenge, error) {
	r, err := t.q.TakeChallenge(t.ctx, hash)
	return payment.Challenge{Hash: r.Hash, UserID: payment.ID(r.UserID), Data: r.Data, Until: at(r.Until)}, t.fail("take challenge", err)
}

// PruneChallenges forgets ceremonies that ended before a time.
func (t *tx) PruneChallenges(before time.Time, limit int) (int, error) {
	n, err := t.q.PruneChallenges(t.ctx, row.PruneChallengesParams{Until: millis(before), Most: atMost(limit)})
	return int(n), t.fail("prune challenges", err)
}
