package engine

import (
	"context"
	"errors"

	"github.com/pipe-pg/pipe/internal/payment"
)

// A Place is a merchant that somebody is a member of.
type Place struct {
	Merchant payment.Merchant
	Role     payment.Role
}

// Places are the merchants of a person, in the order of their ids.
func (o *Office) Places(ctx context.Context, by By) (all []Place, err error) {
	err = o.Store.View(ctx, func(tx Tx) error {
		all = nil
		mine, err := tx.Memberships(by.User.ID, "", MaxMerchants)
		if err != nil {
			return err
		}
		for _, m := range mine {
			merchant, err := tx.Merchant(m.MerchantID)
			if err != nil {
				return err
			}
			all = append(all, Place{merchant, m.Role})
		}
		return nil
	})
	return all, err
}

// ChoosePlace makes a merchant the one that the session works for. Error: not-allowed.
func (o *Office) ChoosePlace(ctx context.Context, by By, merchant payment.ID) error {
	return o.Store.Update(ctx, func(tx Tx) error {
		_, s, err := again(tx, by)
		if err != nil {
			return err
		}
		if _, err := tx.Member(merchant, by.User.ID); errors.Is(err, payment.ErrAbsent) {
			return payment.Refuse(payment.Forbidden, WordRole, "you are no member of that team")
		} else if err != nil {
			return err
		}
		s.MerchantID = merchant
		return tx.SwapSession(s)
	})
}

// AddPlace makes a merchant with the person as its owner, and chooses it. Error: malformed.
func (o *Office) AddPlace(ctx context.Context, by By, name string) (m payment.Merchant, err error) {
	if err := printable("name", name, payment.MaxName); err != nil {
		return m, err
	}
	err = o.Store.Update(ctx, func(tx Tx) error {
		u, s, err := again(tx, by)
		if err != nil {
			return err
		}
		if o.SignUp != SignUpOpen && !u.Operator {
			return payment.Refuse(payment.Forbidden, WordRole, "only operators add merchants here")
		}
		if m, err = found(tx, by, name); err != nil {
			return err
		}
		s.MerchantID = m.ID
		return tx.SwapSession(s)
	})
	return m, err
}

// found makes a merchant with its first owner.
func found(tx Tx, by By, name string) (m payment.Merchant, err error) {
	mine, err := tx.Memberships(by.User.ID, "", MaxMerchants)
	if err != nil {
		return m, err
	}
	if len(mine) >= MaxMerchants {
		return m, payment.Refuse(payment.Limit, payment.WordTooMany, "at most %d merchants", MaxMerchants)
	}
	m = payment.Merchant{ID: tx.NewID(), Name: name, CreatedAt: tx.Now()}
	if m.Branch, err = tx.AddMerchant(m); err != nil {
		return m, err
	}
	if err := tx.AddMember(payment.Member{UserID: by.User.ID, MerchantID: m.ID, Role: payment.Owner, CreatedAt: tx.Now()}); err != nil {
		return m, err
	}
	return m, Record(tx, by, m.ID, Act{Action: "merchant.add", Subject: string(m.ID), Data: map[string]any{"name": name}})
}

// A Colleague is a member of a team as its list shows them.
type Colleague struct {
	payment.Member
	Email, Name string
	Factor      bool // has a second factor
	Unreached   bool // a letter to their address was given up lately
}

// An Invitation is one that is open, and how far its letter came.
type Invitation struct {
	payment.Link
	Letter payment.MailState // "": there is none, or it was forgotten
	Tries  int               // in vain, of a letter that is open
}

// Team is a merchant's team and the invitations that are open.
func (o *Office) Team(ctx context.Context, by By) (all []Colleague, invites []Invitation, err error) {
	err = o.Store.View(ctx, func(tx Tx) error {
		all = nil
		members, err := tx.Members(by.Merchant.ID, "", MaxMembers)
		if err != nil {
			return err
		}
		for _, m := range members {
			u, err := tx.User(m.UserID)
			if err != nil {
				return err
			}
			keys, err := tx.Credentials(u.ID, 1)
			if err != nil {
				return err
			}
			unreached, err := tx.CountUnreached(u.Email, 1)
			if err != nil {
				return err
			}
			all = append(all, Colleague{m, u.Email, u.Name, u.HasFactor() || len(keys) > 0, unreached > 0})
		}
		invites, err = invitations(tx, by.Merchant.ID)
		return err
	})
	return all, invites, err
}

func invitations(tx Tx, merchant payment.ID) ([]Invitation, error) {
	open, err := tx.OpenLinks(merchant, MaxInvites)
	if err != nil {
		return nil, err
	}
	var all []Invitation
	for _, l := range open {
		letters, err := tx.LinkMails(l.ID, 1)
		if err != nil {
			return nil, err
		}
		i := Invitation{Link: l}
		for _, m := range letters {
			i.Letter, i.Tries = m.State, m.Attempts
		}
		all = append(all, i)
	}
	return all, nil
}

// Undelivered counts the open invitations of a merchant's team whose letters were given up.
func (o *Office) Undelivered(ctx context.Context, merchant payment.ID) (n int, err error) {
	err = o.Store.View(ctx, func(tx Tx) error {
		n = 0
		all, err := invitations(tx, merchant)
		for _, i := range all {
			if i.Letter == payment.MailParked {
				n++
			}
		}
		return err
	})
	return n, err
}

// mayTouch refuses what only owners may: anything about owners.
func mayTouch(by By, roles ...payment.Role) error {
	for _, r := range roles {
		need := payment.MayStaff
		if r == payment.Owner {
			need = payment.MayCrown
		}
		if !by.May(need) {
			return payment.Refuse(payment.Forbidden, WordRole, "only owners change owners")
		}
	}
	return nil
}

// acting is by as their role is within the transaction: it may have changed since the page was asked for.
func acting(tx Tx, by By) (By, error) {
	if _, _, err := again(tx, by); err != nil {
		return by, err
	}
	m, err := tx.Member(by.Merchant.ID, by.User.ID)
	if errors.Is(err, payment.ErrAbsent) {
		return by, payment.Refuse(payment.Forbidden, WordRole, "you are no member of that team")
	}
	by.Role = m.Role
	return by, err
}

// SetRole changes a member's role. Errors: role, wrong-state for the last owner.
func (o *Office) SetRole(ctx context.Context, by By, user payment.ID, role payment.Role) error {
	return o.Store.Update(ctx, func(tx Tx) error {
		by, err := acting(tx, by)
		if err != nil {
			return err
		}
		m, err := colleague(tx, by, user)
		if err != nil || m.Role == role {
			return err
		}
		if err := errors.Join(mayTouch(by, m.Role, role), keepOwner(tx, m, role)); err != nil {
			return err
		}
		was := m.Role
		m.Role = role
		if err := tx.SwapMember(m); err != nil {
			return err
		}
		return o.staffed(tx, by, user, Act{Action: "member.role", Data: map[string]any{"was": was, "is": role}})
	})
}

// RemoveMember takes somebody out of the team. Everybody may take themselves out. Errors: as SetRole.
func (o *Office) RemoveMember(ctx context.Context, by By, user payment.ID) error {
	return o.Store.Update(ctx, func(tx Tx) error {
		by, err := acting(tx, by)
		if err != nil {
			return err
		}
		m, err := colleague(tx, by, user)
		if err != nil {
			return err
		}
		if user != by.User.ID {
			err = mayTouch(by, m.Role)
		}
		if err := errors.Join(err, keepOwner(tx, m, "")); err != nil {
			return err
		}
		if err := tx.RemoveMember(m); err != nil {
			return err
		}
		return o.staffed(tx, by, user, Act{Action: "member.remove", Data: map[string]any{"was": m.Role}})
	})
}

func colleague(tx Tx, by By, user payment.ID) (payment.Member, error) {
	m, err := tx.Member(by.Merchant.ID, user)
	if errors.Is(err, payment.ErrAbsent) {
		err = payment.Refuse(payment.NotFound, payment.WordNoRoute, "there is no such member")
	}
	return m, err
}

// keepOwner refuses what would leave a merchant without an owner.
func keepOwner(tx Tx, m payment.Member, role payment.Role) error {
	if m.Role != payment.Owner || role == payment.Owner {
		return nil
	}
	all, err := tx.Members(m.MerchantID, "", MaxMembers)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.Role == payment.Owner && other.UserID != m.UserID {
			return nil
		}
	}
	return payment.Refuse(payment.Conflict, payment.WordState, "a merchant keeps at least one owner: make somebody else owner first")
}

// staffed notes a change of the team and tells the owners.
func (o *Office) staffed(tx Tx, by By, user payment.ID, a Act) error {
	u, err := tx.User(user)
	if err != nil {
		return err
	}
	a.Subject = string(user)
	a.Data["email"] = u.Email
	err = o.TellOwners(tx, by.Merchant.ID, payment.MailNotice, map[string]string{
		"what": a.Action, "subject": u.Email, "merchant": by.Merchant.Name, "by": by.User.Email,
	})
	if err != nil {
		return err
	}
	return Record(tx, by, by.Merchant.ID, a)
}
