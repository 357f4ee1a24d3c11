package signer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// A claim is what is said of an unsigned transaction, with what the signer itself knows of the names in it.
type claim struct {
	u         chain.Unsigned
	place     place
	branch    uint32
	addresses []string // of the keys of the holdings
	receivers [][]byte // of the payouts, as transactions name them
}

// A reading is what the bytes themselves say.
type reading struct {
	uses      []use
	fee, rate money.Amount
	sign      func() (chain.Signed, error)
}

// Sign signs a version of a spend, once its policy allows all of it: it reads the bytes itself, compares them with what is
// claimed, journals what it is about to sign, signs, journals the signed bytes, and answers. The same spend, version and
// bytes get the same answer for ever. Errors: *chain.Wait where it will sign later; chain.ErrRefused; ErrStopped,
// ErrClosed.
func (s *Signer) Sign(ctx context.Context, u chain.Unsigned) (chain.Signed, error) {
	if err := checkUnsigned(u); err != nil {
		return chain.Signed{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return chain.Signed{}, err
	}
	if s.journal.book.halted {
		return chain.Signed{}, &chain.Wait{Reason: "the signer's operator halted payouts"}
	}
	c, err := s.claim(u)
	if err != nil {
		return chain.Signed{}, err
	}
	if out, done, err := s.again(c.u); err != nil || done {
		return out, err
	}
	r, err := s.readingOf(c)
	if err != nil {
		return chain.Signed{}, err
	}
	now := s.now()
	i := intentOf(c, r)
	if err := s.allow(c, r, i, now); err != nil {
		return chain.Signed{}, err
	}
	return s.write(i, r, now)
}

// write makes the intent durable, signs, makes the signature durable, and only then gives it.
func (s *Signer) write(i intent, r reading, now time.Time) (chain.Signed, error) {
	own := s.journal.book.spends[nameOf(i.spend)]
	if own == nil || own.version != i.version { // else it was interrupted behind its intent
		if err := s.journal.append(now, i); err != nil {
			return chain.Signed{}, fmt.Errorf("journal intent: %w", err)
		}
	}
	out, err := r.sign()
	if err != nil {
		return chain.Signed{}, fmt.Errorf("sign spend %s: %w", i.spend, err)
	}
	if err := s.journal.append(s.now(), signature{i.spend, i.version, out.TxID, out.Raw}); err != nil {
		return chain.Signed{}, fmt.Errorf("journal signature: %w", err)
	}
	s.log.Info("signer: signed", "spend", i.spend, "version", i.version, "network", i.network, "merchant", i.merchant,
		"payouts", len(i.shares), "fee", i.fee.String(), "txid", out.TxID)
	return out, nil
}

// checkUnsigned bounds a request before anything is read of it.
func checkUnsigned(u chain.Unsigned) error {
	err := errors.Join(checkText("a spend id", u.Spend, MaxID), checkText("a merchant id", u.Merchant, MaxMerchant),
		checkText("a ticket", string(u.Anchor), MaxTicket))
	if u.Version < 1 || u.Version > MaxVersions || len(u.Raw) < 1 || len(u.Raw) > MaxUnsigned || len(u.Network) > MaxNetwork ||
		len(u.Holdings) < 1 || len(u.Holdings) > MaxInputs || len(u.Pays) < 1 || len(u.Pays) > MaxPays {
		err = errors.Join(err, fmt.Errorf("%w: a spend has 1 to %d versions, %d holdings and %d payouts", ErrWant, MaxVersions, MaxInputs, MaxPays))
	}
	if err == nil {
		err = checkParts(u)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", chain.ErrRefused, err)
	}
	return nil
}

func checkParts(u chain.Unsigned) error {
	coin := u.Network.Coin()
	amount := func(a money.Amount) bool {
		return a.Currency() == coin && a.Sign() > 0 && a.Big().BitLen() <= 256 && (coin != money.BTC || a.Big().IsInt64())
	}
	for _, h := range u.Holdings {
		if err := checkText("a ticket", string(h.Ticket), MaxTicket); err != nil || !amount(h.Amount) {
			return errors.Join(err, fmt.Errorf("%w: holding %.80q", ErrWant, string(h.Ticket)))
		}
	}
	seen := map[string]bool{}
	for _, p := range u.Pays {
		attempts := MaxAttempts
		if coin == money.BTC {
			attempts = 1
		}
		err := checkText("a payout id", p.Payout, MaxID)
		if err != nil || seen[p.Payout] || causeNumber(p.Cause) == 0 || p.Attempt < 1 || p.Attempt > attempts ||
			!amount(p.Amount) || !amount(p.Net) || p.Amount.Less(p.Net) || len(p.To) > MaxAddress || (p.Own != nil) != (p.Cause == chain.CauseGather) {
			return errors.Join(err, fmt.Errorf("%w: payout %.80q", ErrWant, p.Payout))
		}
		seen[p.Payout] = true
	}
	if f := u.Fee; f.Currency() != coin || u.Change.Sign() < 0 || u.Change.Currency() != coin && !u.Change.IsZero() {
		return fmt.Errorf("%w: fee or change", ErrWant)
	}
	return nil
}

// claim looks up what the request names: whose branch it is, its keys' addresses, and the receivers. The caller holds mu.
func (s *Signer) claim(u chain.Unsigned) (claim, error) {
	at, err := placeOf(u.Network)
	if err != nil {
		return claim{}, fmt.Errorf("%w: %w", chain.ErrRefused, err)
	}
	branch, bound := s.journal.book.branch[u.Merchant]
	if !bound {
		return claim{}, refuse("merchant %s has no branch", u.Merchant)
	}
	c := claim{u: u, place: at, branch: branch}
	for _, h := range u.Holdings {
		text, err := s.addressOf(c, h.Key)
		if err != nil {
			return claim{}, err
		}
		if text != h.Address {
			return claim{}, refuse("holding %s is not of the key that is claimed", h.Ticket)
		}
		c.addresses = append(c.addresses, text)
	}
	for _, p := range u.Pays {
		to, err := at.receiver(p.To)
		if err != nil {
			return claim{}, refuse("payout %s: %v", p.Payout, err)
		}
		if p.Own != nil {
			if text, err := s.addressOf(c, *p.Own); err != nil {
				return claim{}, err
			} else if text != p.To {
				return claim{}, refuse("payout %s gathers to an address that is not the merchant's own", p.Payout)
			}
		}
		c.receivers = append(c.receivers, to)
	}
	return c, nil
}

// addressOf derives a key's address, which must be of the merchant's branch and have been released.
func (s *Signer) addressOf(c claim, k chain.Key) (string, error) {
	if k.Branch != c.branch {
		return "", refuse("branch %d is not merchant %s's", k.Branch, c.u.Merchant)
	}
	if k.Index >= s.journal.book.mark(lane{c.branch, c.u.Network}) {
		return "", refuse("index %d of branch %d was never released", k.Index, k.Branch)
	}
	branch, err := s.keys.branch(c.place, c.branch)
	if err != nil {
		return "", err
	}
	return addressAt(c.place, branch, k.Index)
}

// again answers what was signed before, from the journal. The caller holds mu.
func (s *Signer) again(u chain.Unsigned) (out chain.Signed, done bool, err error) {
	own := s.journal.book.spends[nameOf(u.Spend)]
	if own == nil {
		return out, false, nil
	}
	if own.void {
		return out, false, refuse("spend %s is void", u.Spend)
	}
	for _, v := range own.signed {
		if v.version != u.Version {
			continue
		}
		_, sig, err := s.signedAt(v)
		if err != nil {
			return out, false, err
		}
		i, err := s.intentAt(v.intent)
		if err != nil {
			return out, false, err
		}
		if i.unsigned != sha256.Sum256(u.Raw) || i.network != u.Network || i.merchant != u.Merchant {
			return out, false, refuse("version %d of spend %s was signed with other bytes", u.Version, u.Spend)
		}
		return chain.Signed{Raw: sig.raw, TxID: sig.txid}, true, nil
	}
	return out, false, nil
}

func (s *Signer) intentAt(at spot) (intent, error) {
	r, err := s.journal.read(at)
	if err != nil {
		return intent{}, err
	}
	i, ok := r.(intent)
	if !ok {
		return intent{}, s.journal.stop(fmt.Errorf("%w: no intent at byte %d", ErrJournalDamaged, at.off))
	}
	return i, nil
}

func (s *Signer) signedAt(v signedVersion) (i intent, sig signature, err error) {
	r, err := s.journal.read(v.bytes)
	if err != nil {
		return i, sig, err
	}
	sig, ok := r.(signature)
	if !ok {
		return i, sig, s.journal.stop(fmt.Errorf("%w: no signature at byte %d", ErrJournalDamaged, v.bytes.off))
	}
	i, err = s.intentAt(v.intent)
	return i, sig, err
}

func (s *Signer) readingOf(c claim) (reading, error) {
	if c.place.bitcoin != nil {
		return s.bitcoinReading(c)
	}
	return s.ethereumReading(c)
}

func intentOf(c claim, r reading) intent {
	i := intent{spend: c.u.Spend, version: c.u.Version, network: c.u.Network, merchant: c.u.Merchant, anchor: c.u.Anchor,
		unsigned: sha256.Sum256(c.u.Raw), fee: r.fee, uses: r.uses}
	for _, p := range c.u.Pays {
		i.shares = append(i.shares, share{p.Payout, p.Attempt, p.Cause, p.To, p.Amount, p.Net})
	}
	return i
}

// allow asks the book and the policy. The caller holds mu.
func (s *Signer) allow(c claim, r reading, i intent, now time.Time) error {
	caps := s.policy.caps(c.u.Network)
	switch {
	case !r.fee.Equal(c.u.Fee):
		return refuse("the bytes give %s to the network, %s is claimed", r.fee, c.u.Fee)
	case caps.Fee.Less(r.fee):
		return refuse("a network fee of %s is above the cap of %s", r.fee, caps.Fee)
	case caps.FeeRate.Less(r.rate):
		return refuse("a fee rate of %s is above the cap of %s", r.rate, caps.FeeRate)
	}
	before, err := s.follows(i)
	if err != nil {
		return err
	}
	j := &judge{policy: s.policy, book: s.journal.book, now: now, u: c.u}
	if err := j.shares(); err != nil {
		return err
	}
	if err := j.destinations(); err != nil {
		return err
	}
	if before == nil {
		j.caps()
	}
	if before == nil || before.version < i.version {
		j.gathers(before.pays())
	}
	for _, a := range j.asks {
		if err := s.journal.append(now, a); err != nil {
			return fmt.Errorf("journal question: %w", err)
		}
	}
	if j.wait != nil {
		return j.wait
	}
	return nil
}

// follows gives the intent before this one, nil for a spend's first, and refuses one that does not fit it. The intent
// before may be of the same version: journaled, and not signed.
func (s *Signer) follows(i intent) (*intent, error) {
	b := s.journal.book
	own := b.spends[nameOf(i.spend)]
	if own == nil {
		return nil, i.check(b) //nolint:nilnil // there is none before, and that is no error
	}
	before, err := s.intentAt(own.intent)
	if err != nil {
		return nil, err
	}
	if i.version == own.version {
		if !bytes.Equal(i.fields(), before.fields()) {
			return nil, refuse("version %d of spend %s was begun with other bytes", i.version, i.spend)
		}
		return &before, nil
	}
	if i.network != before.network || i.merchant != before.merchant || !i.repeats(before) {
		return nil, refuse("version %d of spend %s pays something else than the one before", i.version, i.spend)
	}
	return &before, i.check(b)
}

// repeats tells whether an intent pays what the one before does, and nobody more of it. It may leave payouts out, whose coins
// the chain took away, and then uses some of the tickets of the one before and no others. What gathers is never left out, as
// its fees are counted from version to version.
func (r *intent) repeats(before intent) bool {
	next := 0
	for _, x := range r.shares {
		at := slices.IndexFunc(before.shares[next:], func(y share) bool { return x.payout == y.payout })
		if at < 0 {
			return false
		}
		y := before.shares[next+at]
		if x.attempt != y.attempt || x.cause != y.cause || x.to != y.to || !x.amount.Equal(y.amount) || y.net.Less(x.net) {
			return false
		}
		next += at + 1
	}
	if len(r.shares) == len(before.shares) {
		return true
	}
	gathers := slices.ContainsFunc(before.shares, func(s share) bool { return s.cause == chain.CauseGather })
	return !gathers && !slices.ContainsFunc(r.uses, func(u use) bool {
		return !slices.ContainsFunc(before.uses, func(o use) bool { return o.ticket == u.ticket })
	})
}

// pays are the payouts of an intent; nil has none.
func (r *intent) pays() []share {
	if r == nil {
		return nil
	}
	return r.shares
}

// Void promises, durably, never to sign a spend. One that is not known is void from now on. Errors: chain.ErrRefused where a
// version was signed already; ErrStopped, ErrClosed.
func (s *Signer) Void(ctx context.Context, id string) error {
	if err := checkText("a spend id", id, MaxID); err != nil {
		return fmt.Errorf("%w: %w", chain.ErrRefused, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return err
	}
	if own := s.journal.book.spends[nameOf(id)]; own != nil && own.void {
		return nil
	}
	if err := s.journal.append(s.now(), void{id}); err != nil {
		return fmt.Errorf("void spend %s: %w", id, err)
	}
	s.log.Info("signer: void", "spend", id)
	return nil
}

// Signed lists what was signed, in the order in which the spends were signed first, all versions of a spend together, from
// behind the given spend on; "" is from the beginning. It gives at most limit spends, fewer where they are long, and none
// at the end. Errors: ErrWant where limit is not 1 to MaxListed or the spend was never signed; ErrStopped, ErrClosed.
func (s *Signer) Signed(ctx context.Context, after string, limit int) ([]chain.SignedSpend, error) {
	if limit < 1 || limit > MaxListed {
		return nil, fmt.Errorf("%w: 1 to %d spends are listed", ErrWant, MaxListed)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	next := 0
	if after != "" {
		own := s.journal.book.spends[nameOf(after)]
		if own == nil || len(own.signed) == 0 {
			return nil, fmt.Errorf("%w: spend %.80q was never signed", ErrWant, after)
		}
		next = own.order + 1
	}
	all, size := []chain.SignedSpend{}, 0
	for _, own := range s.journal.book.order[next:min(next+limit, len(s.journal.book.order))] {
		if size > maxListedBytes {
			break
		}
		for _, v := range own.signed {
			i, sig, err := s.signedAt(v)
			if err != nil {
				return nil, err
			}
			size += len(sig.raw)
			all = append(all, listed(i, sig))
		}
	}
	return all, nil
}

func listed(i intent, sig signature) chain.SignedSpend {
	out := chain.SignedSpend{Spend: i.spend, Version: i.version, Network: i.network, Merchant: i.merchant, Raw: sig.raw, TxID: sig.txid,
		Anchor: i.anchor, Fee: i.fee}
	for _, u := range i.uses {
		out.Holdings = append(out.Holdings, chain.Holding{Ticket: u.ticket, Amount: u.amount})
	}
	for _, p := range i.shares {
		out.Pays = append(out.Pays, chain.Pay{Payout: p.payout, Attempt: p.attempt, Cause: p.cause, To: p.to, Amount: p.amount, Net: p.net})
	}
	return out
}
