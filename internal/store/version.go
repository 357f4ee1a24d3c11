package store

import (
	stdbytes "bytes"
	"fmt"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// shareRow is how what a payout gets out of a version is kept.
type shareRow struct {
	Payout string `json:"payout"`
	Net    string `json:"net"`
	Fee    string `json:"fee"`
}

// AddVersion stores a version of a spend; (spend, number) is unique.
func (t *tx) AddVersion(v payment.Version) error {
	s, err := t.Spend(v.SpendID)
	if err != nil {
		return err
	}
	amounts := []money.Amount{v.Rate, v.Fee, v.Change}
	shares := make([]shareRow, len(v.Shares))
	for i, share := range v.Shares {
		amounts = append(amounts, share.Net, share.Fee)
		shares[i] = shareRow{string(share.PayoutID), share.Net.Units(), share.Fee.Units()}
	}
	if err := coins(s.Network, amounts...); err != nil {
		return t.fail("add version", err)
	}
	var j jsons
	p := row.AddVersionParams{
		SpendID: string(v.SpendID), Number: int64(v.Number), Network: string(s.Network), Rate: v.Rate.Units(), Fee: v.Fee.Units(),
		Change: v.Change.Units(), Unsigned: bytes(v.Unsigned), Raw: bytes(v.Raw), TxID: v.TxID, Shares: j.text(shares),
		MadeAt: millis(v.MadeAt), SentAt: millis(v.SentAt),
	}
	if j.err != nil {
		return t.fail("add version", j.err)
	}
	return t.fail("add version", t.q.AddVersion(t.ctx, p))
}

// SignVersion stores the signed bytes of a version that had none. The same ones once more change nothing; others are
// payment.ErrConflict.
func (t *tx) SignVersion(spend payment.ID, number int, raw []byte, txid string) error {
	if len(raw) == 0 || txid == "" {
		return t.fail("sign version", fmt.Errorf("version %d of spend %s is not signed by nothing", number, spend))
	}
	n, err := t.q.SignVersion(t.ctx, row.SignVersionParams{Raw: raw, TxID: txid, SpendID: string(spend), Number: int64(number)})
	if err != nil || n == 1 {
		return t.fail("sign version", err)
	}
	v, err := t.Version(spend, number)
	if err != nil {
		return err
	}
	if !stdbytes.Equal(v.Raw, raw) || v.TxID != txid {
		return fmt.Errorf("version %d of spend %s was signed as %s, not as %s: %w", number, spend, v.TxID, txid, payment.ErrConflict)
	}
	return nil
}

// MarkSent notes the first broadcast of a version that was signed. Later ones change nothing.
func (t *tx) MarkSent(spend payment.ID, number int, first time.Time) error {
	n, err := t.q.MarkSent(t.ctx, row.MarkSentParams{At: millis(first), SpendID: string(spend), Number: int64(number)})
	if err != nil || n == 1 {
		return t.fail("mark version as sent", err)
	}
	_, err = t.Version(spend, number)
	return err
}

// Version finds a version.
func (t *tx) Version(spend payment.ID, number int) (payment.Version, error) {
	r, err := t.q.Version(t.ctx, row.VersionParams{SpendID: string(spend), Number: int64(number)})
	return t.version("find version", r, err)
}

// Versions are a spend's, the first one first.
func (t *tx) Versions(spend payment.ID) ([]payment.Version, error) {
	rows, err := t.q.Versions(t.ctx, string(spend))
	if err != nil {
		return nil, t.fail("list versions", err)
	}
	all, err := each(rows, version)
	return all, t.fail("read versions", err)
}

// TxIDVersion is the version with this txid.
func (t *tx) TxIDVersion(network money.Network, txid string) (payment.Version, error) {
	r, err := t.q.TxIDVersion(t.ctx, row.TxIDVersionParams{Network: string(network), TxID: txid})
	return t.version("find version by txid", r, err)
}

func (t *tx) version(what string, r row.Version, err error) (payment.Version, error) {
	if err != nil {
		return payment.Version{}, t.fail(what, err)
	}
	v, err := version(r)
	return v, t.fail(what, err)
}

func version(r row.Version) (payment.Version, error) {
	m := moneys{coin: money.Network(r.Network).Coin()}
	v := payment.Version{
		SpendID: payment.ID(r.SpendID), Number: int(r.Number), Rate: m.read(r.Rate), Fee: m.read(r.Fee), Change: m.read(r.Change),
		Unsigned: r.Unsigned, TxID: r.TxID, MadeAt: at(r.MadeAt), SentAt: at(r.SentAt),
	}
	if len(r.Raw) > 0 {
		v.Raw = r.Raw
	}
	var j jsons
	var shares []shareRow
	j.read(r.Shares, &shares)
	for _, s := range shares {
		v.Shares = append(v.Shares, payment.Share{PayoutID: payment.ID(s.Payout), Net: m.read(s.Net), Fee: m.read(s.Fee)})
	}
	if m.err == nil {
		m.err = j.err
	}
	return v, m.err
}
