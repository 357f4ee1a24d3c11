package storetest

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

// digest is a hash that tests choose.
func digest(text string) []byte { h := sha256.Sum256([]byte(text)); return h[:] }

// user is a stored user with every field set.
func (s *suite) user(email string) payment.User {
	s.t.Helper()
	var u payment.User
	s.update(func(tx engine.Tx) error {
		u = payment.User{
			ID: newID(tx), Email: email, Name: "이 사람", Language: payment.Korean, Operator: true, Password: "$argon2id$x",
			TOTP: []byte{0, 1, 255}, TOTPStep: 58_000_000, Recovery: [][]byte{digest("a"), digest("b")}, Failures: 3,
			PausedTill: start.Add(time.Minute), VerifiedAt: start, DisabledAt: start.Add(time.Hour), CreatedAt: tx.Now(), UpdatedAt: tx.Now(),
		}
		return tx.AddUser(u)
	})
	return u
}

func users(t *testing.T, s *suite) {
	u := s.user("a@shop.example")
	same(t, "user", get(s, func(tx engine.Tx) (payment.User, error) { return tx.User(u.ID) }), u)
	same(t, "user by e-mail", get(s, func(tx engine.Tx) (payment.User, error) { return tx.UserByEmail(u.Email) }), u)
	absent(s, "unknown user", func(tx engine.Tx) (payment.User, error) { return tx.User(makeID(9)) })
	absent(s, "unknown e-mail", func(tx engine.Tx) (payment.User, error) { return tx.UserByEmail("b@shop.example") })
	s.refused("the same e-mail twice", payment.ErrConflict, func(tx engine.Tx) error {
		v := u
		v.ID = newID(tx)
		return tx.AddUser(v)
	})
	v := s.user("b@shop.example")
	s.refused("another's e-mail", payment.ErrConflict, func(tx engine.Tx) error {
		w := v
		w.Email = u.Email
		return tx.SwapUser(w)
	})
	bare := u
	bare.Email, bare.Name, bare.Language, bare.Operator, bare.Password, bare.TOTP, bare.TOTPStep = "c@shop.example", "", payment.English, false, "", []byte{}, 0
	bare.Recovery, bare.Failures, bare.PausedTill, bare.VerifiedAt, bare.DisabledAt = nil, 0, time.Time{}, time.Time{}, time.Time{}
	s.update(func(tx engine.Tx) error { return tx.SwapUser(bare) })
	s.refused("an old revision", payment.ErrConflict, func(tx engine.Tx) error { return tx.SwapUser(bare) })
	bare.Rev++
	same(t, "changed user", get(s, func(tx engine.Tx) (payment.User, error) { return tx.User(u.ID) }), bare)
	first := get(s, func(tx engine.Tx) ([]payment.User, error) { return tx.Users("", 1) })
	rest := get(s, func(tx engine.Tx) ([]payment.User, error) { return tx.Users(first[0].ID, 9) })
	if len(first) != 1 || len(rest) != 1 || first[0].ID >= rest[0].ID {
		t.Errorf("users in two parts: %v, %v", first, rest)
	}
}

func credentials(t *testing.T, s *suite) {
	u := s.user("a@shop.example")
	var all []payment.Credential
	s.update(func(tx engine.Tx) error {
		all = nil // it may run twice
		for i := range 3 {
			c := payment.Credential{
				ID: newID(tx), UserID: u.ID, Key: digest(fmt.Sprint(i)), Data: []byte(`{"a":1}`), Name: "열쇠", CreatedAt: tx.Now(), UsedAt: start,
			}
			if err := tx.AddCredential(c); err != nil {
				return err
			}
			all = append(all, c)
		}
		return nil
	})
	list := func() []payment.Credential {
		return get(s, func(tx engine.Tx) ([]payment.Credential, error) { return tx.Credentials(u.ID, 9) })
	}
	same(t, "credentials", list(), all)
	same(t, "at most two", get(s, func(tx engine.Tx) ([]payment.Credential, error) { return tx.Credentials(u.ID, 2) }), all[:2])
	same(t, "by key", get(s, func(tx engine.Tx) (payment.Credential, error) { return tx.CredentialByKey(all[1].Key) }), all[1])
	absent(s, "unknown key", func(tx engine.Tx) (payment.Credential, error) { return tx.CredentialByKey([]byte("x")) })
	s.refused("the same key twice", payment.ErrConflict, func(tx engine.Tx) error {
		c := all[0]
		c.ID = newID(tx)
		return tx.AddCredential(c)
	})
	c := all[2]
	c.Data, c.Name, c.UsedAt = []byte("{}"), "phone", start.Add(time.Second)
	s.update(func(tx engine.Tx) error { return tx.SwapCredential(c) })
	s.refused("an old revision", payment.ErrConflict, func(tx engine.Tx) error { return tx.SwapCredential(c) })
	s.refused("removing an old revision", payment.ErrConflict, func(tx engine.Tx) error { return tx.RemoveCredential(c) })
	c.Rev++
	all[2] = c
	same(t, "changed", list(), all)
	s.update(func(tx engine.Tx) error { return tx.RemoveCredential(c) })
	same(t, "one less", list(), all[:2])
}

func sessions(t *testing.T, s *suite) {
	u, other := s.user("a@shop.example"), s.user("b@shop.example")
	add := func(of payment.User, n int, change func(*payment.Session)) payment.Session {
		var l payment.Session
		s.update(func(tx engine.Tx) error {
			l = payment.Session{
				ID: newID(tx), Hash: digest(fmt.Sprint(of.Email, n)), UserID: of.ID, MerchantID: makeID(1), Level: payment.SessionFull, CreatedAt: tx.Now(),
				SeenAt: tx.Now(), Until: tx.Now().Add(payment.SessionMax), StepUpTill: tx.Now(), IP: "192.0.2.7", Agent: "브라우저",
			}
			change(&l)
			return tx.AddSession(l)
		})
		return l
	}
	a := add(u, 1, func(*payment.Session) {})
	b := add(u, 2, func(l *payment.Session) { l.Level, l.StepUpTill, l.MerchantID = payment.SessionHalf, time.Time{}, "" })
	over := add(u, 3, func(l *payment.Session) { l.Until = s.now })
	add(u, 4, func(l *payment.Session) { l.SeenAt = s.now.Add(-payment.SessionIdle) })
	add(u, 5, func(l *payment.Session) { l.RevokedAt = s.now })
	add(other, 6, func(*payment.Session) {})
	list := func() []payment.Session {
		return get(s, func(tx engine.Tx) ([]payment.Session, error) { return tx.Sessions(u.ID, 9) })
	}
	same(t, "live sessions", list(), []payment.Session{b, a})
	same(t, "the newest", get(s, func(tx engine.Tx) ([]payment.Session, error) { return tx.Sessions(u.ID, 1) }), []payment.Session{b})
	same(t, "by hash", get(s, func(tx engine.Tx) (payment.Session, error) { return tx.SessionByHash(a.Hash) }), a)
	absent(s, "unknown hash", func(tx engine.Tx) (payment.Session, error) { return tx.SessionByHash(digest("x")) })
	a.MerchantID, a.SeenAt, a.StepUpTill, a.IP, a.Agent = "", s.now.Add(time.Minute), s.now.Add(time.Hour), "2001:db8::1", "other"
	s.update(func(tx engine.Tx) error { return tx.SwapSession(a) })
	s.refused("an old revision", payment.ErrConflict, func(tx engine.Tx) error { return tx.SwapSession(a) })
	a.Rev++
	same(t, "changed", list(), []payment.Session{b, a})
	a.RevokedAt = s.now
	s.update(func(tx engine.Tx) error { return tx.SwapSession(a) })
	same(t, "revoked", list(), []payment.Session{b})
	prune := func(limit int) int {
		var n int
		s.update(func(tx engine.Tx) (err error) { n, err = tx.PruneSessions(s.now.Add(time.Second), limit); return err })
		return n
	}
	if n := prune(0); n != 0 {
		t.Errorf("pruned %d of none", n)
	}
	if n := prune(9); n != 1 {
		t.Errorf("pruned %d sessions, want 1", n)
	}
	absent(s, "pruned", func(tx engine.Tx) (payment.Session, error) { return tx.SessionByHash(over.Hash) })
}

func challenges(t *testing.T, s *suite) {
	c := payment.Challenge{Hash: digest("c"), UserID: makeID(1), Data: []byte("{}"), Until: start}
	s.update(func(tx engine.Tx) error { return tx.AddChallenge(c) })
	s.refused("the same twice", payment.ErrConflict, func(tx engine.Tx) error { return tx.AddChallenge(c) })
	take := func(tx engine.Tx) error { _, err := tx.TakeChallenge(c.Hash); return err }
	var got payment.Challenge
	s.update(func(tx engine.Tx) (err error) { got, err = tx.TakeChallenge(c.Hash); return err })
	same(t, "challenge", got, c)
	s.refused("taken twice", payment.ErrAbsent, take)
	s.update(func(tx engine.Tx) error { return tx.AddChallenge(c) })
	for _, c := range []struct {
		before time.Time
		want   int
	}{{start, 0}, {start.Add(time.Millisecond), 1}, {start.Add(time.Millisecond), 0}} {
		var n int
		s.update(func(tx engine.Tx) (err error) { n, err = tx.PruneChallenges(c.before, 9); return err })
		if n != c.want {
			t.Errorf("pruned %d challenges, want %d", n, c.want)
		}
	}
}

func members(t *testing.T, s *suite) {
	m, m2 := s.merchant(), s.merchant()
	u, v := s.user("a@shop.example"), s.user("b@shop.example")
	of := func(m payment.Merchant, u payment.User, r payment.Role) payment.Member {
		one := payment.Member{UserID: u.ID, MerchantID: m.ID, Role: r, CreatedAt: s.now}
		s.update(func(tx engine.Tx) error { return tx.AddMember(one) })
		return one
	}
	a, b, c := of(m, u, payment.Owner), of(m, v, payment.Viewer), of(m2, u, payment.Support)
	s.refused("twice in a team", payment.ErrConflict, func(tx engine.Tx) error { return tx.AddMember(a) })
	if a.UserID > b.UserID {
		a, b = b, a
	}
	same(t, "member", get(s, func(tx engine.Tx) (payment.Member, error) { return tx.Member(m2.ID, u.ID) }), c)
	absent(s, "no member", func(tx engine.Tx) (payment.Member, error) { return tx.Member(m2.ID, v.ID) })
	same(t, "members", get(s, func(tx engine.Tx) ([]payment.Member, error) { return tx.Members(m.ID, "", 9) }), []payment.Member{a, b})
	same(t, "later members", get(s, func(tx engine.Tx) ([]payment.Member, error) { return tx.Members(m.ID, a.UserID, 9) }), []payment.Member{b})
	same(t, "first member", get(s, func(tx engine.Tx) ([]payment.Member, error) { return tx.Members(m.ID, "", 1) }), []payment.Member{a})
	mine := get(s, func(tx engine.Tx) ([]payment.Member, error) { return tx.Memberships(u.ID, "", 9) })
	if len(mine) != 2 || mine[0].MerchantID >= mine[1].MerchantID {
		t.Errorf("memberships %v", mine)
	}
	same(t, "later memberships", get(s, func(tx engine.Tx) ([]payment.Member, error) { return tx.Memberships(u.ID, mine[0].MerchantID, 1) }), mine[1:])
	c.Role = payment.Admin
	s.update(func(tx engine.Tx) error { return tx.SwapMember(c) })
	s.refused("an old revision", payment.ErrConflict, func(tx engine.Tx) error { return tx.SwapMember(c) })
	s.refused("removing an old revision", payment.ErrConflict, func(tx engine.Tx) error { return tx.RemoveMember(c) })
	c.Rev++
	same(t, "changed", get(s, func(tx engine.Tx) (payment.Member, error) { return tx.Member(m2.ID, u.ID) }), c)
	s.update(func(tx engine.Tx) error { return tx.RemoveMember(c) })
	absent(s, "removed", func(tx engine.Tx) (payment.Member, error) { return tx.Member(m2.ID, u.ID) })
}

func links(t *testing.T, s *suite) {
	m := s.merchant()
	u := s.user("a@shop.example")
	var all []payment.Link
	for i, kind := range payment.LinkKinds() {
		l := payment.Link{
			ID: makeID(i + 1), Kind: kind, Hash: digest(string(kind)), Email: "c@shop.example", Language: payment.Korean, MadeBy: u.ID, CreatedAt: s.now,
			Until: s.now.Add(time.Duration(i+1) * time.Hour),
		}
		switch kind {
		case payment.LinkInvite:
			l.MerchantID, l.Role = m.ID, payment.Developer
		case payment.LinkEmail, payment.LinkUndo, payment.LinkReset:
			l.UserID = u.ID
		case payment.LinkSetup, payment.LinkSignUp:
		}
		s.update(func(tx engine.Tx) error { return tx.AddLink(l) })
		same(t, "link", get(s, func(tx engine.Tx) (payment.Link, error) { return tx.Link(l.ID) }), l)
		same(t, "link by hash", get(s, func(tx engine.Tx) (payment.Link, error) { return tx.LinkByHash(l.Hash) }), l)
		all = append(all, l)
	}
	absent(s, "unknown link", func(tx engine.Tx) (payment.Link, error) { return tx.Link(makeID(99)) })
	absent(s, "unknown hash", func(tx engine.Tx) (payment.Link, error) { return tx.LinkByHash(digest("x")) })
	open := func() []payment.Link {
		return get(s, func(tx engine.Tx) ([]payment.Link, error) { return tx.OpenLinks(m.ID, 9) })
	}
	invite := all[2]
	same(t, "open links", open(), []payment.Link{invite})
	if n := len(get(s, func(tx engine.Tx) ([]payment.Link, error) { return tx.OpenLinks("", 9) })); n != 0 {
		t.Errorf("%d open links of no merchant", n)
	}
	invite.UsedAt = s.now
	s.update(func(tx engine.Tx) error { return tx.SwapLink(invite) })
	s.refused("used twice", payment.ErrConflict, func(tx engine.Tx) error { return tx.SwapLink(invite) })
	same(t, "open links", open(), []payment.Link{})
	of := func(u payment.ID, kind payment.LinkKind, limit int) []payment.Link {
		return get(s, func(tx engine.Tx) ([]payment.Link, error) { return tx.PersonLinks(u, kind, limit) })
	}
	undo, second := all[4], all[4]
	second.ID, second.Hash = makeID(50), digest("second")
	s.update(func(tx engine.Tx) error { return tx.AddLink(second) })
	same(t, "a person's links", of(u.ID, payment.LinkUndo, 9), []payment.Link{undo, second})
	same(t, "the oldest of them", of(u.ID, payment.LinkUndo, 1), []payment.Link{undo})
	same(t, "of another kind", of(u.ID, payment.LinkEmail, 9), all[3:4])
	same(t, "nobody's links", of("", payment.LinkSignUp, 9), []payment.Link{})
	undo.UsedAt = s.now
	s.update(func(tx engine.Tx) error { return tx.SwapLink(undo) })
	same(t, "what is left of them", of(u.ID, payment.LinkUndo, 9), []payment.Link{second})
	var n int
	s.update(func(tx engine.Tx) (err error) {
		n, err = tx.PruneLinks(s.now.Add(2*time.Hour+time.Millisecond), 9)
		return err
	})
	if n != 2 {
		t.Errorf("pruned %d links, want 2", n)
	}
}

func auditRecords(t *testing.T, s *suite) {
	scope := makeID(1)
	var all []payment.AuditRecord
	var prev payment.AuditRecord
	for i := range 5 {
		r := payment.AuditRecord{
			Scope: scope, Seq: int64(i + 1), At: s.now, ActorID: makeID(2), Actor: "a@shop.example", IP: "192.0.2.1", Action: "member.role",
			Subject: fmt.Sprint("s", i%2), Data: `{"이름":"값"}`, Prev: append([]byte{}, prev.Hash...),
		}
		r.Hash = engine.SumRecord(r)
		s.update(func(tx engine.Tx) error { return tx.AddAuditRecord(r) })
		all, prev = append(all, r), r
	}
	s.refused("a number taken", payment.ErrConflict, func(tx engine.Tx) error { return tx.AddAuditRecord(all[2]) })
	house := payment.AuditRecord{Seq: 1, At: s.now, Action: "setup"}
	house.Hash = engine.SumRecord(house)
	house.Prev = []byte{}
	s.update(func(tx engine.Tx) error { return tx.AddAuditRecord(house) })
	same(t, "last", get(s, func(tx engine.Tx) (payment.AuditRecord, error) { return tx.LastAuditRecord(scope) }), all[4])
	same(t, "last of the house", get(s, func(tx engine.Tx) (payment.AuditRecord, error) { return tx.LastAuditRecord("") }), house)
	absent(s, "last of nobody", func(tx engine.Tx) (payment.AuditRecord, error) { return tx.LastAuditRecord(makeID(3)) })
	same(t, "before", get(s, func(tx engine.Tx) ([]payment.AuditRecord, error) { return tx.AuditRecords(scope, "", 5, 2) }),
		[]payment.AuditRecord{all[3], all[2]})
	same(t, "of a subject", get(s, func(tx engine.Tx) ([]payment.AuditRecord, error) { return tx.AuditRecords(scope, "s0", 5, 9) }),
		[]payment.AuditRecord{all[2], all[0]})
	got := get(s, func(tx engine.Tx) ([]payment.AuditRecord, error) { return tx.AuditRecordsAfter(scope, 1, 3) })
	same(t, "after", got, all[1:4])
	for i := range got {
		if !engine.Follows(got[i], all[i]) {
			t.Errorf("record %d does not follow", got[i].Seq)
		}
	}
}

func mails(t *testing.T, s *suite) {
	add := func(n int, due time.Time) payment.Mail {
		m := payment.Mail{
			ID: makeID(n), To: "a@shop.example", Language: payment.English, Kind: payment.MailInvite, Sealed: []byte{1, 0, 2}, State: payment.MailOpen,
			Attempts: 1, Detail: "450 다시", CreatedAt: s.now, DueAt: due,
		}
		s.update(func(tx engine.Tx) error { return tx.AddMail(m) })
		return m
	}
	late, early, future := add(1, s.now), add(2, s.now.Add(-time.Second)), add(3, s.now.Add(time.Minute))
	same(t, "mail", get(s, func(tx engine.Tx) (payment.Mail, error) { return tx.Mail(late.ID) }), late)
	absent(s, "unknown mail", func(tx engine.Tx) (payment.Mail, error) { return tx.Mail(makeID(99)) })
	claim := func(now time.Time, limit int) (all []payment.Mail) {
		s.update(func(tx engine.Tx) (err error) { all, err = tx.ClaimMails(now, time.Minute, limit); return err })
		return all
	}
	got := claim(s.now, 1)
	early.LeaseUntil, early.Fence = s.now.Add(time.Minute), 1
	same(t, "the longest due", got, []payment.Mail{early})
	late.LeaseUntil, late.Fence = s.now.Add(time.Minute), 1
	same(t, "the next", claim(s.now, 9), []payment.Mail{late})
	if n := len(claim(s.now.Add(30*time.Second), 9)); n != 0 {
		t.Errorf("claimed %d under lease", n)
	}
	early.State, early.Sealed, early.DoneAt, early.Attempts, early.Detail, early.LeaseUntil = payment.MailSent, []byte{}, s.now, 2, "250 ok", time.Time{}
	s.refused("an old fence", payment.ErrConflict, func(tx engine.Tx) error { return tx.SwapMail(early, 0) })
	s.update(func(tx engine.Tx) error { return tx.SwapMail(early, 1) })
	early.Fence = 2
	same(t, "sent", get(s, func(tx engine.Tx) (payment.Mail, error) { return tx.Mail(early.ID) }), early)
	if n := len(claim(s.now.Add(2*time.Minute), 9)); n != 2 {
		t.Errorf("claimed %d after the lease, want %d and %d", n, 1, future.Fence)
	}
	parkedMails(t, s, add)
	var n int
	s.update(func(tx engine.Tx) (err error) { n, err = tx.PruneMails(s.now.Add(time.Second), 9); return err })
	if n != 2 {
		t.Errorf("pruned %d mails, want 2", n)
	}
}

func parkedMails(t *testing.T, s *suite, add func(int, time.Time) payment.Mail) {
	var all []payment.Mail
	for n := range 3 {
		m := add(10+n, s.now.Add(time.Hour))
		m.State, m.DoneAt, m.Detail = payment.MailParked, s.now, "550 그런 사람 없음"
		s.update(func(tx engine.Tx) error { return tx.SwapMail(m, 0) })
		m.Fence = 1
		all = append(all, m)
	}
	parked := func(before payment.ID, limit int) []payment.Mail {
		return get(s, func(tx engine.Tx) ([]payment.Mail, error) { return tx.ParkedMails(before, limit) })
	}
	count := func(to string, limit int) int {
		return get(s, func(tx engine.Tx) (int, error) {
			if to == "" {
				return tx.CountParkedMails(limit)
			}
			return tx.CountUnreached(to, limit)
		})
	}
	same(t, "the newest given up", parked("", 2), []payment.Mail{all[2], all[1]})
	same(t, "older ones", parked(all[1].ID, 9), []payment.Mail{all[0]})
	same(t, "counts", []int{count("", 9), count("", 2), count("a@shop.example", 9), count("a@shop.example", 1), count("b@shop.example", 9)}, []int{3, 2, 3, 1, 0})
	linked := payment.Mail{
		ID: makeID(20), To: "b@shop.example", Language: payment.Korean, Kind: payment.MailInvite, Sealed: []byte{1}, State: payment.MailOpen, CreatedAt: s.now,
		DueAt: s.now.Add(time.Hour), LinkID: makeID(5),
	}
	s.update(func(tx engine.Tx) error { return tx.AddMail(linked) })
	of := func(link payment.ID, limit int) []payment.Mail {
		return get(s, func(tx engine.Tx) ([]payment.Mail, error) { return tx.LinkMails(link, limit) })
	}
	same(t, "with a link", of(makeID(5), 9), []payment.Mail{linked})
	same(t, "at most none", of(makeID(5), 0), []payment.Mail{})
	same(t, "without a link", of("", 9), []payment.Mail{})
	s.refused("removing an old fence", payment.ErrConflict, func(tx engine.Tx) error { m := all[2]; m.Fence--; return tx.RemoveMail(m) })
	s.update(func(tx engine.Tx) error { return tx.RemoveMail(all[2]) })
	same(t, "one less", parked("", 9), []payment.Mail{all[1], all[0]})
	again := all[1]
	again.State, again.DoneAt, again.Attempts = payment.MailOpen, time.Time{}, 0
	s.update(func(tx engine.Tx) error { return tx.SwapMail(again, again.Fence) })
	same(t, "one tried again", parked("", 9), []payment.Mail{all[0]})
}
