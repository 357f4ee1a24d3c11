package chaintest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// A fakeSpend is what a transaction takes from coins that are on the chain: outpoints, or an account's at a nonce.
type fakeSpend struct {
	raw   []byte
	ins   []fakeIn
	nonce uint64 // of the one account among ins
	rate  money.Amount
	fee   money.Amount // what it costs; on Bitcoin what its ins hold beyond its outs
}

// A fakeIn is one ticket that is used, of an address. On account chains Amount is not known to it.
type fakeIn struct {
	ticket  chain.Ticket
	address string
	amount  money.Amount
}

// market is what miners and nodes want.
type market struct {
	usual, times int64             // rate: usual is that of Spike(1)
	refuses      map[string]bool   // receivers that say so before anything is signed
	traps        map[string]bool   // receivers that say nothing and refuse when it is carried out
	hungry       map[string]uint64 // gas that a receiver needs
	lose         int               // so many broadcasts are taken and answered with an error
	lost         error
	deaf         bool // takes nothing
}

func newMarket(n money.Network) market {
	m := market{usual: 2_000, times: 1, refuses: map[string]bool{}, traps: map[string]bool{}, hungry: map[string]uint64{}}
	if n.Coin() == money.ETH {
		m.usual = 2_000_000_000
	}
	return m
}

func (m market) clone() market {
	m.refuses, m.traps, m.hungry = maps.Clone(m.refuses), maps.Clone(m.traps), maps.Clone(m.hungry)
	return m
}

func (m market) rate() *big.Int { return new(big.Int).Mul(big.NewInt(m.usual), big.NewInt(m.times)) }

// plainGas is what a plain transfer costs, gasCap the most that is given to a receiver.
const (
	plainGas = 21_000
	gasCap   = 100_000
)

// Sizes of the fake's Bitcoin transactions in virtual bytes, and the least outputs in satoshi.
const (
	sizeBase   = 11
	sizeIn     = 68
	sizeOut    = 31
	leastOut   = 294
	leastShown = 546
)

// Spike makes miners and nodes ask for so many times the usual rate. What pays less waits, or is not taken any more.
func (f *Fake) Spike(times int64) { f.do(func(w *world) { w.market.times = times }) }

// Refuses makes an address a contract that refuses coins, and says so when it is asked.
func (f *Fake) Refuses(address string, on bool) {
	f.do(func(w *world) { w.market.refuses[address] = on })
}

// Traps makes an address a contract that refuses coins only when they come.
func (f *Fake) Traps(address string, on bool) { f.do(func(w *world) { w.market.traps[address] = on }) }

// Hungry makes an address a contract that uses so much gas to take coins.
func (f *Fake) Hungry(address string, gas uint64) {
	f.do(func(w *world) { w.market.hungry[address] = gas })
}

// Deaf makes the node refuse every transaction that is sent.
func (f *Fake) Deaf(on bool) { f.do(func(w *world) { w.market.deaf = on }) }

// LoseAnswers makes the node take the next n transactions and answer with this error.
func (f *Fake) LoseAnswers(n int, with error) {
	f.do(func(w *world) { w.market.lose, w.market.lost = n, with })
}

// Evict takes a transaction out of the mempool, as a node does that forgets.
func (f *Fake) Evict(txid string) {
	f.do(func(w *world) { w.pool = slices.DeleteFunc(w.pool, func(tx fakeTx) bool { return tx.id == txid }) })
}

// Waiting are the txids of the spends in the mempool.
func (f *Fake) Waiting() (all []string) {
	f.do(func(w *world) {
		for _, tx := range w.pool {
			if tx.spend != nil {
				all = append(all, tx.id)
			}
		}
	})
	return all
}

// Got is what all spends in blocks have paid to an address, and by how many of them.
func (f *Fake) Got(address string) (sum money.Amount, times int) {
	sum = money.Zero(f.world.network.Coin())
	f.do(func(w *world) {
		for _, b := range w.blocks {
			for _, tx := range b.txs {
				for _, out := range tx.came() {
					if tx.spend != nil && out.Address == address {
						sum, times = sum.Add(out.Amount), times+1
					}
				}
			}
		}
	})
	return sum, times
}

// Came is what payers' transactions in blocks have brought to an address, whatever left it since.
func (f *Fake) Came(address string) (sum money.Amount) {
	sum = money.Zero(f.world.network.Coin())
	f.do(func(w *world) {
		for _, b := range w.blocks {
			for _, tx := range b.txs {
				for _, out := range tx.outs {
					if tx.spend == nil && out.Address == address {
						sum = sum.Add(out.Amount)
					}
				}
			}
		}
	})
	return sum
}

// Steal spends what is at a ticket of somebody's: on Bitcoin the outpoint, on account chains so much of the account, with
// its next nonce. Nobody signed it.
func (f *Fake) Steal(t chain.Ticket, address string, amount money.Amount) (txid string) {
	f.do(func(w *world) {
		tx := fakeTx{id: w.hash("theft"), from: address, outs: []Out{{"thief", amount}}}
		tx.spend = &fakeSpend{ins: []fakeIn{{t, address, amount}}, rate: money.OfBig(w.network.Coin(), w.market.rate()), fee: money.Zero(w.network.Coin())}
		if w.accounts() {
			tx.spend.nonce = w.nonce(address, nil)
			tx.spend.ins[0].ticket = ticketOf(address, tx.spend.nonce)
		}
		w.pool = slices.DeleteFunc(w.pool, func(o fakeTx) bool { return o.conflicts(tx) })
		w.pool, txid = append(w.pool, tx), tx.id
	})
	return txid
}

func (w *world) accounts() bool { return w.network.Coin() == money.ETH }

func ticketOf(address string, nonce uint64) chain.Ticket {
	return chain.Ticket(address + ":" + strconv.FormatUint(nonce, 10))
}

// took is what a transaction took from an address: outputs that it used up, or value and fee of an account.
func (t fakeTx) took(address string) money.Amount {
	var sum money.Amount
	if t.spend == nil {
		return sum
	}
	if t.account() {
		if t.spend.ins[0].address != address {
			return sum
		}
		sum = t.spend.fee
		for _, out := range t.came() {
			sum = sum.Add(out.Amount)
		}
		return sum
	}
	for _, in := range t.spend.ins {
		if in.address == address {
			sum = sum.Add(in.amount)
		}
	}
	return sum
}

// account tells whether a spend is one of an account.
func (t fakeTx) account() bool {
	return t.spend != nil && t.spend.fee.Currency() == money.ETH
}

// uses are the tickets of watched addresses or outpoints that a transaction used up.
func (t fakeTx) uses(watch chain.Watch) []chain.Use {
	if t.spend == nil {
		return nil
	}
	var all []chain.Use
	for _, in := range t.spend.ins {
		switch {
		case t.account() && watch.Has != nil && watch.Has(in.address):
			u := chain.Use{Ticket: in.ticket, TxID: t.id, From: in.address, Failed: t.failed, Out: money.Zero(money.ETH), Fee: t.spend.fee}
			for _, out := range t.came() {
				u.Out = u.Out.Add(out.Amount)
			}
			all = append(all, u)
		case !t.account() && watch.Held != nil && watch.Held(in.ticket):
			all = append(all, chain.Use{Ticket: in.ticket, TxID: t.id})
		}
	}
	return all
}

// conflicts tells whether two transactions use the same ticket, so that only one of them can be in the chain.
func (t fakeTx) conflicts(o fakeTx) bool {
	if t.spend == nil || o.spend == nil || t.id == o.id {
		return false
	}
	return slices.ContainsFunc(t.spend.ins, func(in fakeIn) bool {
		return slices.ContainsFunc(o.spend.ins, func(x fakeIn) bool { return x.ticket == in.ticket })
	})
}

// nonce counts the transactions that left an account, in the blocks and among more.
func (w *world) nonce(address string, more []fakeTx) (n uint64) {
	count := func(txs []fakeTx) {
		for _, tx := range txs {
			if tx.account() && tx.spend.ins[0].address == address {
				n++
			}
		}
	}
	for _, b := range w.blocks {
		count(b.txs)
	}
	count(more)
	return n
}

// unspent finds an output on the best chain that nothing used up.
func (w *world) unspent(t chain.Ticket) (Out, bool) {
	txid, index, _ := strings.Cut(string(t), ":")
	vout, err := strconv.Atoi(index)
	var found Out
	there := false
	for _, b := range w.blocks {
		for _, tx := range b.txs {
			if tx.id == txid && err == nil && vout < len(tx.outs) {
				found, there = tx.outs[vout], true
			}
			if tx.spend != nil && slices.ContainsFunc(tx.spend.ins, func(in fakeIn) bool { return in.ticket == t }) {
				return Out{}, false
			}
		}
	}
	return found, there
}

// fill moves what can be mined from the mempool into the new tip block: what nobody can spend any more is forgotten, and
// what pays too little, or comes too early, waits.
func (w *world) fill(b *fakeBlock) {
	var rest []fakeTx
	for _, tx := range w.pool {
		switch {
		case tx.spend == nil:
			b.txs = append(b.txs, tx)
		case tx.spend.rate.Big().Cmp(w.market.rate()) < 0:
			rest = append(rest, tx)
		default:
			switch w.standing(tx) {
			case mineable:
				tx.failed = tx.account() && w.market.traps[tx.outs[0].Address]
				b.txs = append(b.txs, tx)
			case early:
				rest = append(rest, tx)
			case dead:
			}
		}
	}
	w.pool = slices.DeleteFunc(rest, func(tx fakeTx) bool { return w.standing(tx) == dead })
}

// A standing is whether a spend can be carried out on the chain as it is.
type standing int

const (
	mineable standing = iota
	early             // a nonce before it is missing
	dead              // its tickets are gone, or its coins are
)

func (w *world) standing(tx fakeTx) standing {
	if tx.account() {
		in := tx.spend.ins[0]
		switch n := w.nonce(in.address, nil); {
		case tx.spend.nonce < n:
			return dead
		case tx.spend.nonce > n:
			return early
		}
		need := tx.spend.fee
		for _, out := range tx.outs {
			need = need.Add(out.Amount)
		}
		if w.balance(in.address, len(w.blocks)-1).Less(need) {
			return dead
		}
		return mineable
	}
	for _, in := range tx.spend.ins {
		if out, ok := w.unspent(in.ticket); !ok || out.Address != in.address || !out.Amount.Equal(in.amount) {
			return dead
		}
	}
	return mineable
}

// A payload is an unsigned transaction of a Fake, in JSON. Signed, it carries Signature.
type payload struct {
	Network   money.Network
	Ins       []payloadIn
	Outs      []payloadOut
	Nonce     uint64 `json:",omitempty"`
	Gas       uint64 `json:",omitempty"` // the most that is used
	Rate      string
	Signature string `json:",omitempty"`
}

type payloadIn struct {
	Ticket, Address, Amount string
}

type payloadOut struct {
	To, Amount string
}

func (p payload) bytes() ([]byte, error) {
	raw, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("write payload: %w", err)
	}
	return raw, nil
}

// sum is the digest of a payload without its signature.
func (p payload) sum() (string, error) {
	p.Signature = ""
	raw, err := p.bytes()
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), err
}

// txid is a payload's name on its chain; it does not depend on the signature.
func (p payload) txid() (string, error) {
	sum, err := p.sum()
	if p.Network.Coin() == money.ETH {
		sum = "0x" + sum
	}
	return sum, err
}

// Sign signs what a Fake's builder built, once it has compared the bytes with what is said of them.
func Sign(u chain.Unsigned) (chain.Signed, error) {
	var p payload
	if err := json.Unmarshal(u.Raw, &p); err != nil {
		return chain.Signed{}, fmt.Errorf("sign: %w: %w", chain.ErrRefused, err)
	}
	in, out := money.Zero(u.Network.Coin()), money.Zero(u.Network.Coin())
	for i, one := range p.Ins {
		if i >= len(u.Holdings) || one.Ticket != string(u.Holdings[i].Ticket) || one.Address != u.Holdings[i].Address || one.Amount != u.Holdings[i].Amount.Units() {
			return chain.Signed{}, fmt.Errorf("sign: input %d is not as claimed: %w", i, chain.ErrRefused)
		}
		in = in.Add(u.Holdings[i].Amount)
	}
	for i, pay := range u.Pays {
		if i >= len(p.Outs) || p.Outs[i] != (payloadOut{pay.To, pay.Net.Units()}) || pay.Amount.Less(pay.Net) {
			return chain.Signed{}, fmt.Errorf("sign: payout %s is not as claimed: %w", pay.Payout, chain.ErrRefused)
		}
		out = out.Add(pay.Net)
	}
	if len(p.Ins) != len(u.Holdings) || u.Network.Coin() == money.BTC && !in.Equal(out.Add(u.Change).Add(u.Fee)) || in.Less(out.Add(u.Fee)) {
		return chain.Signed{}, fmt.Errorf("sign: sums are not as claimed: %w", chain.ErrRefused)
	}
	txid, err := p.txid()
	if err != nil {
		return chain.Signed{}, err
	}
	p.Signature = "of " + u.Holdings[0].Address
	raw, err := p.bytes()
	return chain.Signed{Raw: raw, TxID: txid}, err
}
