package engine

import (
	"context"
	"errors"
	"time"

	"github.com/pipe-pg/pipe/internal/payment"
)

// newLink stores a one-time link and answers its address.
func (o *Office) newLink(tx Tx, l payment.Link, lasts time.Duration) (string, error) {
	token, hash, err := newToken()
	if err != nil {
		return "", err
	}
	if l.Language == "" {
		l.Language = payment.English
	}
	l.ID, l.Hash, l.CreatedAt, l.Until = tx.NewID(), hash, tx.Now(), tx.Now().Add(lasts)
	return o.URL + LinkPath + token, tx.AddLink(l)
}

// LinkPath is where one-time links lead: it begins their path.
const LinkPath = "/link/"

// SetupLink makes the one-time link by which an operator's account is made, for who has the machine. Error: wrong-state
// where there is an operator, unless another is wanted.
func (o *Office) SetupLink(ctx context.Context, another bool) (link string, err error) {
	err = o.Store.Update(ctx, func(tx Tx) error {
		if !another {
			for after := payment.ID(""); ; {
				all, err := tx.Users(after, Batch)
				if err != nil {
					return err
				}
				for _, u := range all {
					if after = u.ID; u.Operator && u.DisabledAt.IsZero() {
						return payment.Refuse(payment.Conflict, payment.WordState, "there is an operator already (%s): --another makes one more", u.Email)
					}
				}
				if len(all) < Batch {
					break
				}
			}
		}
		if link, err = o.newLink(tx, payment.Link{Kind: payment.LinkSetup}, SetupFor); err != nil {
			return err
		}
		return Record(tx, By{}, "", Act{Action: "setup.link"})
	})
	return link, err
}

// AskSignUp sends a link to who wants an account. It answers the same for an address that has one: the letter says so.
// Errors: malformed, role where signing up is not open.
func (o *Office) AskSignUp(ctx context.Context, email string, language payment.Language) error {
	if o.SignUp != SignUpOpen || !o.Mails {
		return payment.Refuse(payment.Forbidden, WordRole, "accounts are made by invitation here")
	}
	email, ok := payment.ParseEmail(email)
	if !ok {
		return payment.Malformed("email", "write an e-mail address like name@shop.example")
	}
	return o.Store.Update(ctx, func(tx Tx) error {
		to := payment.User{Email: email, Language: language}
		l, err := o.newLink(tx, payment.Link{Kind: payment.LinkSignUp, Email: email, Language: language}, SignUpFor)
		if err != nil {
			return err
		}
		kind := payment.MailSignUp
		if u, err := tx.UserByEmail(email); err == nil {
			kind, l, to.Language = payment.MailKnown, o.URL+"/login", u.Language
		} else if !errors.Is(err, payment.ErrAbsent) {
			return err
		}
		return o.letter(tx, to, kind, map[string]string{"link": l})
	})
}

// Invite makes a link into the team. It is sent, and answered, so that it can be handed over where no letters are sent.
// Errors: malformed, role, taken for a member.
func (o *Office) Invite(ctx context.Context, by By, email string, role payment.Role) (link string, err error) {
	email, ok := payment.ParseEmail(email)
	if !ok {
		return "", payment.Malformed("email", "write an e-mail address like name@shop.example")
	}
	if o.SignUp == SignUpClosed {
		return "", payment.Refuse(payment.Forbidden, WordRole, "the operator lets no teams grow")
	}
	err = o.Store.Update(ctx, func(tx Tx) error {
		by, err := acting(tx, by)
		if err != nil {
			return err
		}
		link, err = o.invite(tx, by, email, role)
		return err
	})
	return link, err
}

// InviteAgain puts a new invitation in the place of one that is open, for the same address and role: with a new link, as nobody knows
// the old one any more, and a new letter. Errors: dead-link, and as Invite.
func (o *Office) InviteAgain(ctx context.Context, by By, id payment.ID) (link string, err error) {
	err = o.Store.Update(ctx, func(tx Tx) error {
		by, l, err := openInvite(tx, by, id)
		if err != nil {
			return err
		}
		if err := endInvite(tx, l); err != nil {
			return err
		}
		link, err = o.invite(tx, by, l.Email, l.Role)
		return err
	})
	return link, err
}

func (o *Office) invite(tx Tx, by By, email string, role payment.Role) (link string, err error) {
	if err := mayTouch(by, role); err != nil {
		return "", err
	}
	to := payment.User{Email: email, Language: by.User.Language}
	if u, err := tx.UserByEmail(email); err == nil {
		to.Language = u.Language
		if _, err := tx.Member(by.Merchant.ID, u.ID); err == nil {
			e := payment.Refuse(payment.Conflict, WordTaken, "this person is in the team already")
			e.Field = "email"
			return "", e
		} else if !errors.Is(err, payment.ErrAbsent) {
			return "", err
		}
	} else if !errors.Is(err, payment.ErrAbsent) {
		return "", err
	}
	if err := roomFor(tx, by.Merchant.ID); err != nil {
		return "", err
	}
	link, err = o.newLink(tx, payment.Link{
		Kind: payment.LinkInvite, Email: email, Language: to.Language, MerchantID: by.Merchant.ID, Role: role, MadeBy: by.User.ID,
	}, InviteFor)
	if err != nil {
		return "", err
	}
	values := map[string]string{"link": link, "merchant": by.Merchant.Name, "by": by.User.Email}
	if err := o.letter(tx, to, payment.MailInvite, values); err != nil {
		return "", err
	}
	return link, Record(tx, by, by.Merchant.ID, Act{Action: "member.invite", Subject: email, Data: map[string]any{"role": role}})
}

func roomFor(tx Tx, merchant payment.ID) error {
	open, err := tx.OpenLinks(merchant, MaxInvites)
	if err != nil {
		return err
	}
	members, err := tx.Members(merchant, "", MaxMembers)
	if err == nil && (len(open) >= MaxInvites || len(open)+len(members) >= MaxMembers) {
		err = payment.Refuse(payment.Limit, payment.WordTooMany, "the team is full")
	}
	return err
}

// TakeBack makes an invitation of the team dead. Error: dead-link.
func (o *Office) TakeBack(ctx context.Context, by By, id payment.ID) error {
	return o.Store.Update(ctx, func(tx Tx) error {
		by, l, err := openInvite(tx, by, id)
		if err != nil {
			return err
		}
		if err := endInvite(tx, l); err != nil {
			return err
		}
		return Record(tx, by, by.Merchant.ID, Act{Action: "member.uninvite", Subject: l.Email})
	})
}

// openInvite finds an invitation of the team that is still open, for who may take it back.
func openInvite(tx Tx, by By, id payment.ID) (By, payment.Link, error) {
	by, err := acting(tx, by)
	if err != nil {
		return by, payment.Link{}, err
	}
	l, err := tx.Link(id)
	if errors.Is(err, payment.ErrAbsent) || err == nil && (l.MerchantID != by.Merchant.ID || !l.Open(tx.Now())) {
		return by, l, deadLink()
	}
	if err != nil {
		return by, l, err
	}
	return by, l, mayTouch(by, l.Role)
}

// endInvite makes an invitation dead, and its letter with it where that has not left yet.
func endInvite(tx Tx, l payment.Link) error {
	l.UsedAt = tx.Now()
	if err := tx.SwapLink(l); err != nil {
		return err
	}
	letters, err := tx.LinkMails(l.ID, Batch)
	if err != nil {
		return err
	}
	for _, m := range letters {
		if m.State == payment.MailSent || m.LeaseUntil.After(tx.Now()) {
			continue
		}
		if err := tx.RemoveMail(m); err != nil {
			return err
		}
	}
	return nil
}

func deadLink() error {
	return payment.Refuse(payment.NotFound, WordLink, "this link was used, is too old, or was taken back: ask for another")
}

// A Door is what a one-time link leads to.
type Door struct {
	payment.Link
	Merchant payment.Merchant // of an invitation
	Known    bool             // the address has an account
}

// OpenLink tells what a link leads to; it changes nothing, because mail programs look at links too. Error: dead-link.
func (o *Office) OpenLink(ctx context.Context, token string) (d Door, err error) {
	err = o.Store.View(ctx, func(tx Tx) error {
		d, err = behind(tx, token)
		return err
	})
	return d, err
}

func behind(tx Tx, token string) (d Door, err error) {
	if d.Link, err = tx.LinkByHash(hashToken(token)); errors.Is(err, payment.ErrAbsent) || err == nil && !d.Open(tx.Now()) {
		return d, deadLink()
	}
	if err == nil && d.MerchantID != "" {
		d.Merchant, err = tx.Merchant(d.MerchantID)
	}
	if err != nil || d.Email == "" {
		return d, err
	}
	_, err = tx.UserByEmail(d.Email)
	if d.Known = err == nil; errors.Is(err, payment.ErrAbsent) {
		err = nil
	}
	return d, err
}

// An Entry is what somebody fills in behind a link.
type Entry struct {
	Email    string // for a set-up link only: others know it
	Name     string
	Password string
	Merchant string // name of the shop: for signing up, and if wanted for a set-up link
	Language payment.Language
}

// Enter makes the account that a link is for, and logs in. The link is used up. Errors: dead-link, bad-password, malformed,
// taken.
func (o *Office) Enter(ctx context.Context, token string, e Entry, from Caller) (in Entrance, err error) {
	d, err := o.OpenLink(ctx, token)
	if err != nil {
		return in, err
	}
	email := d.Email
	if d.Kind == payment.LinkSetup {
		ok := false
		if email, ok = payment.ParseEmail(e.Email); !ok {
			return in, payment.Malformed("email", "write an e-mail address like name@shop.example")
		}
	}
	if err := checkEntry(d, e, email); err != nil {
		return in, err
	}
	hash, err := o.Hasher.Hash(ctx, e.Password)
	if err != nil {
		return in, err
	}
	err = o.Store.Update(ctx, func(tx Tx) error {
		d, err := behind(tx, token)
		if err != nil {
			return err
		}
		if _, err := tx.UserByEmail(email); err == nil {
			f := payment.Refuse(payment.Conflict, WordTaken, "there is an account with this e-mail address: log in")
			f.Field = "email"
			return f
		} else if !errors.Is(err, payment.ErrAbsent) {
			return err
		}
		u := payment.User{
			ID: tx.NewID(), Email: email, Name: e.Name, Language: e.Language, Operator: d.Kind == payment.LinkSetup, Password: hash,
			VerifiedAt: tx.Now(), CreatedAt: tx.Now(), UpdatedAt: tx.Now(),
		}
		if err := tx.AddUser(u); err != nil {
			return err
		}
		d.UsedAt = tx.Now()
		if err := tx.SwapLink(d.Link); err != nil {
			return err
		}
		by := By{User: u, Caller: from}
		if err := Record(tx, by, "", Act{Action: "user.add", Subject: string(u.ID), Data: map[string]any{"how": d.Kind}}); err != nil {
			return err
		}
		if err := o.settleIn(tx, by, d, e.Merchant); err != nil {
			return err
		}
		in, err = o.admit(tx, u, "password", from)
		return err
	})
	return in, err
}

func checkEntry(d Door, e Entry, email string) error {
	switch d.Kind {
	case payment.LinkSetup, payment.LinkSignUp, payment.LinkInvite:
	case payment.LinkEmail, payment.LinkUndo, payment.LinkReset:
		return deadLink()
	}
	if err := printable("name", e.Name, payment.MaxName); err != nil {
		return err
	}
	if d.Kind == payment.LinkSignUp || e.Merchant != "" {
		if err := printable("merchant", e.Merchant, payment.MaxName); err != nil {
			return err
		}
	}
	return goodPassword(e.Password, email)
}

// settleIn gives a new user their place.
func (o *Office) settleIn(tx Tx, by By, d Door, shop string) error {
	if d.Kind == payment.LinkInvite {
		return o.join(tx, by, d)
	}
	if shop == "" {
		return nil
	}
	_, err := found(tx, by, shop)
	return err
}

// join makes somebody a member, and tells the owners. The inviter must still be allowed to invite.
func (o *Office) join(tx Tx, by By, d Door) error {
	inviter, err := tx.Member(d.MerchantID, d.MadeBy)
	if errors.Is(err, payment.ErrAbsent) || err == nil && mayTouch(By{Role: inviter.Role}, d.Role) != nil {
		return deadLink()
	}
	if err != nil {
		return err
	}
	m := payment.Member{UserID: by.User.ID, MerchantID: d.MerchantID, Role: d.Role, CreatedAt: tx.Now()}
	if err := tx.AddMember(m); err != nil {
		return err
	}
	by.Merchant = d.Merchant
	return o.staffed(tx, by, by.User.ID, Act{Action: "member.join", Data: map[string]any{"role": d.Role}})
}

// Join takes a logged-in person into the team that invited their address. The link is used up. Errors: dead-link, taken.
func (o *Office) Join(ctx context.Context, by By, token string) error {
	return o.Store.Update(ctx, func(tx Tx) error {
		d, err := behind(tx, token)
		if err != nil {
			return err
		}
		u, s, err := again(tx, by)
		if err != nil {
			return err
		}
		if d.Kind != payment.LinkInvite || d.Email != u.Email {
			return deadLink()
		}
		d.UsedAt = tx.Now()
		if err := tx.SwapLink(d.Link); err != nil {
			return err
		}
		if _, err := tx.Member(d.MerchantID, u.ID); err == nil {
			return payment.Refuse(payment.Conflict, WordTaken, "you are in this team already")
		} else if !errors.Is(err, payment.ErrAbsent) {
			return err
		}
		if err := o.join(tx, by, d); err != nil {
			return err
		}
		s.MerchantID = d.MerchantID
		return tx.SwapSession(s)
	})
}

// AskReset sends a link for a new password, if there is such an account; it answers the same where there is none.
func (o *Office) AskReset(ctx context.Context, email string) error {
	email, ok := payment.ParseEmail(email)
	if !ok || !o.Mails {
		return nil
	}
	return o.Store.Update(ctx, func(tx Tx) error {
		u, err := tx.UserByEmail(email)
		if errors.Is(err, payment.ErrAbsent) || err == nil && !u.DisabledAt.IsZero() {
			// A link that nobody gets is as much work as one that is sent: time does not tell who has an account.
			_, err := o.newLink(tx, payment.Link{Kind: payment.LinkSignUp, Email: email}, ResetFor)
			return err
		}
		if err != nil {
			return err
		}
		l, err := o.newLink(tx, payment.Link{Kind: payment.LinkReset, Email: u.Email, Language: u.Language, UserID: u.ID}, ResetFor)
		if err != nil {
			return err
		}
		return o.letter(tx, u, payment.MailReset, map[string]string{"link": l})
	})
}

// Reset sets a new password by a link. All sessions end; a second factor stays on. Errors: dead-link, bad-password.
func (o *Office) Reset(ctx context.Context, token, password string, from Caller) error {
	d, err := o.OpenLink(ctx, token)
	if err != nil {
		return err
	}
	if err := goodPassword(password, d.Email); err != nil {
		return err
	}
	hash, err := o.Hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	return o.Store.Update(ctx, func(tx Tx) error {
		d, err := behind(tx, token)
		if err != nil {
			return err
		}
		if d.Kind != payment.LinkReset {
			return deadLink()
		}
		u, err := tx.User(d.UserID)
		if err != nil {
			return err
		}
		if u.Email != d.Email {
			return deadLink()
		}
		d.UsedAt = tx.Now()
		u.Password, u.UpdatedAt = hash, tx.Now()
		if err := errors.Join(tx.SwapLink(d.Link), tx.SwapUser(u)); err != nil {
			return err
		}
		return o.changed(tx, By{User: u, Caller: from}, "password.reset")
	})
}
