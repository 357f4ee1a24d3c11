package store

import (
	"time"

	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// AddMember stores a user's part in a team.
func (t *tx) AddMember(m payment.Member) error {
	return t.fail("add member", t.q.AddMember(t.ctx, row.AddMemberParams{
		UserID: string(m.UserID), MerchantID: string(m.MerchantID), Role: string(m.Role), CreatedAt: millis(m.CreatedAt),
	}))
}

// Member finds a user's part in a team.
func (t *tx) Member(merchant, user payment.ID) (payment.Member, error) {
	r, err := t.q.Member(t.ctx, row.MemberParams{MerchantID: string(merchant), UserID: string(user)})
	return member(r), t.fail("find member", err)
}

// Members are a merchant's after a user in id order.
func (t *tx) Members(merchant, after payment.ID, limit int) ([]payment.Member, error) {
	rows, err := t.q.Members(t.ctx, row.MembersParams{MerchantID: string(merchant), UserID: string(after), Most: atMost(limit)})
	return plainly(rows, member), t.fail("list members", err)
}

// Memberships are a user's after a merchant in id order.
func (t *tx) Memberships(user, after payment.ID, limit int) ([]payment.Member, error) {
	rows, err := t.q.Memberships(t.ctx, row.MembershipsParams{UserID: string(user), MerchantID: string(after), Most: atMost(limit)})
	return plainly(rows, member), t.fail("list memberships", err)
}

// SwapMember saves a member's role if nobody changed it.
func (t *tx) SwapMember(m payment.Member) error {
	n, err := t.q.SwapMember(t.ctx, row.SwapMemberParams{
		Role: string(m.Role), MerchantID: string(m.MerchantID), UserID: string(m.UserID), Rev: m.Rev,
	})
	return t.swapped("save member", n, err)
}

// RemoveMember takes a user out of a team.
func (t *tx) RemoveMember(m payment.Member) error {
	n, err := t.q.RemoveMember(t.ctx, row.RemoveMemberParams{MerchantID: string(m.MerchantID), UserID: string(m.UserID), Rev: m.Rev})
	return t.swapped("remove member", n, err)
}

func member(r row.Member) payment.Member {
	return payment.Member{
		UserID: payment.ID(r.UserID), MerchantID: payment.ID(r.MerchantID), Role: payment.Role(r.Role), CreatedAt: at(r.CreatedAt), Rev: r.Rev,
	}
}

// AddLink stores a one-time link.
func (t *tx) AddLink(l payment.Link) error {
	return t.fail("add link", t.q.AddLink(t.ctx, row.AddLinkParams{
		ID: string(l.ID), Kind: string(l.Kind), Hash: bytes(l.Hash), Email: l.Email, Language: string(l.Language),
		UserID: string(l.UserID), MerchantID: string(l.MerchantID), Role: string(l.Role), MadeBy: string(l.MadeBy),
		CreatedAt: millis(l.CreatedAt), Until: millis(l.Until), UsedAt: millis(l.UsedAt),
	}))
}

// Link finds a one-time link.
func (t *tx) Link(id payment.ID) (payment.Link, error) {
	r, err := t.q.Link(t.ctx, string(id))
	return link(r), t.fail("find link", err)
}

// LinkByHash finds a one-time link, open or not.
func (t *tx) LinkByHash(hash []byte) (payment.Link, error) {
	r, err := t.q.LinkByHash(t.ctx, hash)
	return link(r), t.fail("find link by its token", err)
}

// OpenLinks are a merchant's that still work, the newest first.
func (t *tx) OpenLinks(merchant payment.ID, limit int) ([]payment.Link, error) {
	rows, err := t.q.OpenLinks(t.ctx, row.OpenLinksParams{MerchantID: string(merchant), Now: millis(t.now), Most: atMost(limit)})
	return plainly(rows, link), t.fail("list links", err)
}

// PersonLinks are those of a kind about a user that still work, the oldest first.
func (t *tx) PersonLinks(user payment.ID, kind payment.LinkKind, limit int) ([]payment.Link, error) {
	rows, err := t.q.PersonLinks(t.ctx, row.PersonLinksParams{UserID: string(user), Kind: string(kind), Now: millis(t.now), Most: atMost(limit)})
	return plainly(rows, link), t.fail("list a person's links", err)
}

// SwapLink saves that a link was used if nobody changed it.
func (t *tx) SwapLink(l payment.Link) error {
	n, err := t.q.SwapLink(t.ctx, row.SwapLinkParams{UsedAt: millis(l.UsedAt), ID: string(l.ID), Rev: l.Rev})
	return t.swapped("save link", n, err)
}

// PruneLinks forgets links that ended before a time.
func (t *tx) PruneLinks(before time.Time, limit int) (int, error) {
	n, err := t.q.PruneLinks(t.ctx, row.PruneLinksParams{Until: millis(before), Most: atMost(limit)})
	return int(n), t.fail("prune links", err)
}

func link(r row.Link) payment.Link {
	return payment.Link{
		ID: payment.ID(r.ID), Kind: payment.LinkKind(r.Kind), Hash: r.Hash, Email: r.Email, Language: payment.Language(r.Language),
		UserID: payment.ID(r.UserID), MerchantID: payment.ID(r.MerchantID), Role: payment.Role(r.Role), MadeBy: payment.ID(r.MadeBy),
		CreatedAt: at(r.CreatedAt), Until: at(r.Until), UsedAt: at(r.UsedAt), Rev: r.Rev,
	}
}
