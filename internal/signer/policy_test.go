package signer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// retx rewrites the transaction inside a PSBT that the test built.
func (h *house) retx(u chain.Unsigned, change func(tx *wire.MsgTx, coins []coin) []coin) chain.Unsigned {
	h.t.Helper()
	p, err := readPartial(u.Raw)
	if err != nil {
		h.t.Fatal(err)
	}
	coins := change(p.tx, p.coins)
	u.Raw = rawPSBT(h.t, p.tx, func(i int) coin { return coins[i] })
	return u
}

func settle(id string, amount int64) chain.Pay {
	return pay(id, chain.CauseSettlement, shopBTC, sat(amount))
}

// What must be refused on Bitcoin: the bytes do something else than is claimed, or what is claimed must not be.
func TestRefusesBitcoin(t *testing.T) {
	both(t, Policy{}, func(t *testing.T, h *house) {
		number := 0
		fresh := func() (chain.Holding, string) {
			number++
			return h.coin("SHOP-A", number, 1_000_000), fmt.Sprint("X", number)
		}
		build := func() chain.Unsigned { // 400,000 satoshi settled, the rest is change
			c, id := fresh()
			return h.btc("S"+id, 1, 1_000, []chain.Holding{c}, settle(id, 400_000))
		}
		again := func(u chain.Unsigned) chain.Unsigned { u.Raw = h.psbt(u); return u }
		same := func(tx *wire.MsgTx, coins []coin) []coin { return coins }
		foreign, err := mustPlace(t, regtest).receiver(payer)
		if err != nil {
			t.Fatal(err)
		}
		for name, given := range map[string]func() chain.Unsigned{
			"bytes pay another": func() chain.Unsigned {
				return h.retx(build(), func(tx *wire.MsgTx, c []coin) []coin { tx.TxOut[0].PkScript = foreign; return c })
			},
			"bytes pay more": func() chain.Unsigned {
				return h.retx(build(), func(tx *wire.MsgTx, c []coin) []coin { tx.TxOut[0].Value++; tx.TxOut[1].Value--; return c })
			},
			"change to another": func() chain.Unsigned {
				return h.retx(build(), func(tx *wire.MsgTx, c []coin) []coin { tx.TxOut[1].PkScript = foreign; return c })
			},
			"change dropped": func() chain.Unsigned {
				return h.retx(build(), func(tx *wire.MsgTx, c []coin) []coin { tx.TxOut = tx.TxOut[:1]; return c })
			},
			"change dropped, owned up": func() chain.Unsigned {
				u := build()
				u.Fee, u.Change = u.Fee.Add(u.Change), sat(0)
				return again(u)
			},
			"a further output": func() chain.Unsigned {
				return h.retx(build(), func(tx *wire.MsgTx, c []coin) []coin { tx.AddTxOut(wire.NewTxOut(0, foreign)); return c })
			},
			"outputs turned": func() chain.Unsigned {
				return h.retx(build(), func(tx *wire.MsgTx, c []coin) []coin { slices.Reverse(tx.TxOut); return c })
			},
			"an older version": func() chain.Unsigned {
				return h.retx(build(), func(tx *wire.MsgTx, c []coin) []coin { tx.Version = 1; return c })
			},
			"locked": func() chain.Unsigned {
				return h.retx(build(), func(tx *wire.MsgTx, c []coin) []coin { tx.LockTime = 900_000; return c })
			},
			"not replaceable": func() chain.Unsigned {
				return h.retx(build(), func(tx *wire.MsgTx, c []coin) []coin { tx.TxIn[0].Sequence = wire.MaxTxInSequenceNum; return c })
			},
			"another outpoint": func() chain.Unsigned {
				return h.retx(build(), func(tx *wire.MsgTx, c []coin) []coin { tx.TxIn[0].PreviousOutPoint.Index++; return c })
			},
			"an input twice": func() chain.Unsigned {
				return h.retx(build(), func(tx *wire.MsgTx, c []coin) []coin { tx.AddTxIn(tx.TxIn[0]); return append(c, c[0]) })
			},
			"another script": func() chain.Unsigned {
				return h.retx(build(), func(tx *wire.MsgTx, c []coin) []coin { c[0].script = foreign; return c })
			},
			"less than claimed": func() chain.Unsigned {
				return h.retx(build(), func(tx *wire.MsgTx, c []coin) []coin { c[0].value--; return c })
			},
			"bytes behind": func() chain.Unsigned { u := build(); u.Raw = append(u.Raw, 0); return u },
			"cut short":    func() chain.Unsigned { u := build(); u.Raw = u.Raw[:len(u.Raw)-1]; return u },
			"no PSBT":      func() chain.Unsigned { u := build(); u.Raw = u.Raw[5:]; return u },
			"an ethereum payload": func() chain.Unsigned {
				u := build()
				u.Raw = h.eth("S", 1, 20, 0, 0, pay("P", chain.CauseSettlement, shopETH, gwei(1e9))).Raw
				return u
			},
			"another fee is claimed": func() chain.Unsigned { u := build(); u.Fee = sat(999); return u },
			"more arrives than is owed": func() chain.Unsigned {
				u := build()
				u.Pays[0].Net, u.Change = sat(400_001), sat(600_000-1_001)
				return again(u)
			},
			"payouts bear less than the fee": func() chain.Unsigned {
				u := build()
				u.Change, u.Fee = sat(590_000), sat(11_000)
				return again(u)
			},
			"payouts bear more than the fee": func() chain.Unsigned {
				u := build()
				u.Pays[0].Net, u.Change = sat(390_000), sat(609_000)
				return again(u)
			},
			"another amount claimed": func() chain.Unsigned { u := build(); u.Holdings[0].Amount = sat(999_999); return u },
			"a coin twice": func() chain.Unsigned {
				c, id := fresh()
				return h.btc("S"+id, 1, 500, []chain.Holding{c, c}, settle(id, 400_000))
			},
			"above the fee's share": func() chain.Unsigned {
				c, id := fresh()
				return h.btc("S"+id, 1, 20_001, []chain.Holding{c}, settle(id, 400_000))
			},
			"above the fee rate": func() chain.Unsigned { // some 140 virtual bytes
				c, id := fresh()
				c.Amount = sat(90_000_000)
				return h.btc("S"+id, 1, 80_000, []chain.Holding{c}, settle(id, 80_000_000))
			},
			"above the fee": func() chain.Unsigned {
				c, id := fresh()
				c.Amount = sat(490_000_000)
				return h.btc("S"+id, 1, 2_000_001, []chain.Holding{c}, settle(id, 400_000_000))
			},
			"not registered": func() chain.Unsigned {
				c, id := fresh()
				return h.btc("S"+id, 1, 500, []chain.Holding{c}, pay(id, chain.CauseSettlement, payer, sat(400_000)))
			},
			"withdrawal not registered": func() chain.Unsigned {
				c, id := fresh()
				return h.btc("S"+id, 1, 500, []chain.Holding{c}, pay(id, chain.CauseWithdrawal, payer, sat(400_000)))
			},
			"one of two not registered": func() chain.Unsigned {
				c, id := fresh()
				return h.btc("S"+id, 1, 500, []chain.Holding{c}, settle(id, 400_000), pay(id+"b", chain.CauseSettlement, payer, sat(400_000)))
			},
			"another merchant's destination": func() chain.Unsigned {
				number++
				u := h.btc(fmt.Sprint("S", number), 1, 500, []chain.Holding{h.coin("SHOP-B", number, 1_000_000)}, settle(fmt.Sprint("X", number), 400_000))
				u.Merchant = "SHOP-B"
				return u
			},
			"another merchant's coin": func() chain.Unsigned {
				c, id := fresh()
				return h.btc("S"+id, 1, 500, []chain.Holding{c, h.coin("SHOP-B", number, 1_000_000)}, settle(id, 400_000))
			},
			"an unknown merchant": func() chain.Unsigned { u := build(); u.Merchant = "SHOP-C"; return u },
			"a key never released": func() chain.Unsigned {
				c, id := fresh()
				c.Key.Index, c.Address = 60, addressOf(t, h.s.keys, regtest, 5, 60)
				return h.btc("S"+id, 1, 500, []chain.Holding{c}, settle(id, 400_000))
			},
			"gather to a key never released": func() chain.Unsigned {
				c, id := fresh()
				p := pay(id, chain.CauseGather, addressOf(t, h.s.keys, regtest, 5, 1<<30), sat(9_000))
				p.Own = &chain.Key{Branch: 5, Index: 1 << 30}
				return h.btc("S"+id, 1, 500, []chain.Holding{c}, p)
			},
			"another key":      func() chain.Unsigned { u := build(); u.Holdings[0].Key.Index++; return u },
			"another branch":   func() chain.Unsigned { u := build(); u.Holdings[0].Key.Branch++; return u },
			"no anchor":        func() chain.Unsigned { u := build(); u.Anchor = h.coin("SHOP-A", 9999, 1).Ticket; return u },
			"a second attempt": func() chain.Unsigned { u := build(); u.Pays[0].Attempt = 2; return u },
			"attempt 0":        func() chain.Unsigned { u := build(); u.Pays[0].Attempt = 0; return u },
			"no cause":         func() chain.Unsigned { u := build(); u.Pays[0].Cause = ""; return u },
			"a strange cause":  func() chain.Unsigned { u := build(); u.Pays[0].Cause = "gift"; return u },
			"a payout twice": func() chain.Unsigned {
				c, id := fresh()
				return h.btc("S"+id, 1, 500, []chain.Holding{c}, settle(id, 300_000), settle(id, 300_000))
			},
			"version 0":            func() chain.Unsigned { u := build(); u.Version = 0; return u },
			"version 11":           func() chain.Unsigned { u := build(); u.Version = MaxVersions + 1; return u },
			"no spend":             func() chain.Unsigned { u := build(); u.Spend = ""; return u },
			"no payouts":           func() chain.Unsigned { u := build(); u.Pays = nil; return u },
			"no holdings":          func() chain.Unsigned { u := build(); u.Holdings = nil; return u },
			"too long":             func() chain.Unsigned { u := build(); u.Raw = make([]byte, MaxUnsigned+1); return u },
			"an amount below zero": func() chain.Unsigned { u := build(); u.Pays[0].Amount = sat(-400_000); return u },
			"another currency":     func() chain.Unsigned { u := build(); u.Pays[0].Net = gwei(1); return u },
			"an amount beyond all": func() chain.Unsigned {
				u := build()
				u.Pays[0].Amount = money.OfBig(money.BTC, new(big.Int).Lsh(big.NewInt(1), 65))
				return u
			},
			"another network": func() chain.Unsigned { u := build(); u.Network = "bitcoin/mainnet"; return u },
			"no network":      func() chain.Unsigned { u := build(); u.Network = "bitcoin/moon"; return u },
			"upper case receiver": func() chain.Unsigned {
				u := build()
				u.Pays[0].To = "BCRT1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KYGT080"
				return u
			},
			"mainnet receiver": func() chain.Unsigned {
				u := build()
				u.Pays[0].To = "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"
				return u
			},
			"gather to another": func() chain.Unsigned {
				c, id := fresh()
				p := pay(id, chain.CauseGather, payer, sat(9_000))
				p.Own = &chain.Key{Branch: 5}
				return h.btc("S"+id, 1, 500, []chain.Holding{c}, p)
			},
			"gather without a key": func() chain.Unsigned {
				c, id := fresh()
				return h.btc("S"+id, 1, 500, []chain.Holding{c}, pay(id, chain.CauseGather, h.own[regtest]["SHOP-A"][3].Address, sat(9_000)))
			},
			"gather to another merchant": func() chain.Unsigned {
				c, id := fresh()
				to := h.own[regtest]["SHOP-B"][3]
				p := pay(id, chain.CauseGather, to.Address, sat(9_000))
				p.Own = &chain.Key{Branch: 6, Index: to.Index}
				return h.btc("S"+id, 1, 500, []chain.Holding{c}, p)
			},
			"own key of a settlement": func() chain.Unsigned { u := build(); u.Pays[0].Own = &chain.Key{Branch: 5}; return u },
		} {
			u := given()
			_, err := h.sign(u)
			refused(t, name, err)
		}
		h.must(h.retx(build(), same)) // and what none of this was done to is signed
	})
}

// An outpoint has one amount for ever, a ticket and a payout one spend, and versions differ in their fee alone.
func TestRefusesASecondSpend(t *testing.T) {
	both(t, Policy{}, func(t *testing.T, h *house) {
		c, d := h.coin("SHOP-A", 1, 1_000_000), h.coin("SHOP-A", 2, 1_000_000)
		one := h.btc("S1", 2, 1_000, []chain.Holding{c}, settle("P1", 400_000))
		h.must(one)
		lie := c
		lie.Amount = sat(900_000)
		for name, u := range map[string]chain.Unsigned{
			"the ticket in another spend": h.btc("S2", 1, 500, []chain.Holding{c}, settle("P2", 400_000)),
			"… beside a new one":          h.btc("S2", 1, 500, []chain.Holding{d, c}, settle("P2", 400_000)),
			"the payout in another spend": h.btc("S2", 1, 500, []chain.Holding{d}, settle("P1", 400_000)),
			"another amount of the coin":  h.btc("S1", 3, 2_000, []chain.Holding{lie}, settle("P1", 400_000)),
			"… beside its anchor":         h.btc("S1", 3, 2_000, []chain.Holding{d, lie}, settle("P1", 400_000)),
			"another anchor":              h.btc("S1", 3, 2_000, []chain.Holding{d, c}, settle("P1", 400_000)),
			"an older version":            h.btc("S1", 1, 500, []chain.Holding{c}, settle("P1", 400_000)),
			"… with a higher fee":         h.btc("S1", 1, 3_000, []chain.Holding{c}, settle("P1", 400_000)),
			"other bytes for the version": h.btc("S1", 2, 1_001, []chain.Holding{c}, settle("P1", 400_000)),
			"a smaller fee":               h.btc("S1", 3, 900, []chain.Holding{c}, settle("P1", 400_000)),
			"another amount":              h.btc("S1", 3, 2_000, []chain.Holding{c}, settle("P1", 500_000)),
			"a further payout":            h.btc("S1", 3, 2_000, []chain.Holding{c}, settle("P1", 400_000), settle("P3", 100_000)),
			"another payout":              h.btc("S1", 3, 2_000, []chain.Holding{c}, settle("P3", 400_000)),
			"another cause":               h.btc("S1", 3, 2_000, []chain.Holding{c}, pay("P1", chain.CauseRefund, shopBTC, sat(400_000))),
			"another receiver":            h.btc("S1", 3, 2_000, []chain.Holding{c}, pay("P1", chain.CauseRefund, payer, sat(400_000))),
		} {
			_, err := h.sign(u)
			refused(t, name, err)
		}
		back := h.btc("S3", 1, 300, []chain.Holding{h.coin("SHOP-A", 3, 90_000)}, pay("R1", chain.CauseRefund, payer, sat(90_000)))
		h.must(back)
		_, err := h.sign(h.btc("S3", 2, 600, back.Holdings, pay("R1", chain.CauseRefund, lateBTC, sat(90_000))))
		refused(t, "a refund that goes elsewhere", err)
		refused(t, "void of a signed spend", h.hand.Void(context.Background(), "S1"))
		more := h.btc("S1", 3, 2_000, []chain.Holding{c, d}, settle("P1", 400_000)) // a further coin, behind the anchor
		h.must(more)
		_, err = h.sign(h.btc("S4", 1, 500, []chain.Holding{d}, settle("P4", 400_000)))
		refused(t, "that coin in another spend", err)
	})
}

// A spend that lost coins goes on with a part of its payouts and tickets, and with no others.
func TestNarrowed(t *testing.T) {
	both(t, Policy{}, func(t *testing.T, h *house) {
		a, b, c := h.coin("SHOP-A", 1, 400_000), h.coin("SHOP-A", 2, 500_000), h.coin("SHOP-A", 3, 600_000)
		other := h.coin("SHOP-A", 4, 500_000)
		h.must(h.btc("S1", 1, 1_500, []chain.Holding{a, b, c}, settle("P1", 400_000), settle("P2", 500_000), settle("P3", 600_000)))
		two := h.btc("S1", 2, 1_600, []chain.Holding{b, c}, settle("P2", 500_000), settle("P3", 600_000))
		for name, u := range map[string]chain.Unsigned{
			"fewer payouts with another coin":   h.btc("S1", 2, 1_600, []chain.Holding{b, c, other}, settle("P2", 500_000), settle("P3", 600_000)),
			"fewer payouts, another coin alone": h.btc("S1", 2, 1_600, []chain.Holding{other}, settle("P2", 500_000)),
			"one that gets more":                h.btc("S1", 2, 400, []chain.Holding{b}, settle("P2", 500_000)),
			"one of another amount":             h.btc("S1", 2, 1_600, []chain.Holding{c}, settle("P2", 600_000)),
			"one of another receiver":           h.btc("S1", 2, 1_600, []chain.Holding{b}, pay("P2", chain.CauseRefund, payer, sat(500_000))),
			"a further payout for one":          h.btc("S1", 2, 1_600, []chain.Holding{b, c}, settle("P2", 500_000), settle("P4", 600_000)),
			"the payouts in another order":      h.btc("S1", 2, 1_600, []chain.Holding{b, c}, settle("P3", 600_000), settle("P2", 500_000)),
			"the same payout twice":             h.btc("S1", 2, 1_600, []chain.Holding{b, c}, settle("P2", 500_000), settle("P2", 500_000)),
		} {
			_, err := h.sign(u)
			refused(t, name, err)
		}
		_, err := h.sign(h.btc("S2", 1, 900, []chain.Holding{a}, settle("P5", 400_000)))
		refused(t, "the coin before it was left out", err)
		h.must(two)
		h.reopen() // the journal says the same
		for name, u := range map[string]chain.Unsigned{
			"the payout that was left out":       h.btc("S1", 3, 2_500, []chain.Holding{a, b, c}, settle("P1", 400_000), settle("P2", 500_000), settle("P3", 600_000)),
			"the coin that was left out":         h.btc("S1", 3, 2_500, []chain.Holding{a, b}, settle("P2", 500_000)),
			"the payout that was left out alone": h.btc("S2", 1, 900, []chain.Holding{a}, settle("P1", 400_000)),
			"a coin that is still used":          h.btc("S2", 1, 900, []chain.Holding{b}, settle("P5", 500_000)),
		} {
			_, err := h.sign(u)
			refused(t, name, err)
		}
		h.must(h.btc("S2", 1, 900, []chain.Holding{a}, settle("P5", 400_000))) // it conflicts with the one version that uses it
		anchor := h.btc("S1", 3, 2_500, []chain.Holding{c, a}, settle("P3", 600_000))
		_, err = h.sign(anchor)
		refused(t, "a coin of another spend by now", err)
		h.must(h.btc("S1", 3, 2_600, []chain.Holding{c}, settle("P3", 600_000)))
		_, err = h.sign(h.btc("S1", 4, 4_000, []chain.Holding{b}, settle("P2", 500_000)))
		refused(t, "a payout that the version before had left out", err)
	})
}

func TestRefusesEthereum(t *testing.T) {
	both(t, Policy{}, func(t *testing.T, h *house) {
		nonce := 0
		change := func(do func(w *wei)) func() chain.Unsigned {
			return func() chain.Unsigned {
				nonce++
				u := h.eth(fmt.Sprint("S", nonce), 1, 20, 3, nonce, pay(fmt.Sprint("P", nonce), chain.CauseSettlement, shopETH, gwei(1e9)))
				w := wei{1337, uint64(nonce), gwei(20).Big(), gwei(20).Big(), 21_000, common.HexToAddress(shopETH), u.Pays[0].Net.Big(), nil, nil}
				do(&w)
				u.Raw = w.raw(t)
				return u
			}
		}
		claim := func(do func(u *chain.Unsigned)) func() chain.Unsigned {
			return func() chain.Unsigned {
				u := change(func(*wei) {})()
				do(&u)
				return u
			}
		}
		h.must(claim(func(*chain.Unsigned) {})())
		var zero common.Address
		for name, given := range map[string]func() chain.Unsigned{
			"another chain":    change(func(w *wei) { w.ChainID = 1 }),
			"no chain":         change(func(w *wei) { w.ChainID = 0 }),
			"another nonce":    change(func(w *wei) { w.Nonce++ }),
			"another receiver": change(func(w *wei) { w.To[19]++ }),
			"more":             change(func(w *wei) { w.Value = new(big.Int).Add(w.Value, big.NewInt(1)) }),
			"less":             change(func(w *wei) { w.Value = new(big.Int).Sub(w.Value, big.NewInt(1)) }),
			"data":             change(func(w *wei) { w.Data = []byte{1} }),
			"an access list":   change(func(w *wei) { w.Access = types.AccessList{{Address: zero}} }),
			"too much gas":     change(func(w *wei) { w.Gas = MaxGas + 1 }),
			"too much gas, owned up": func() chain.Unsigned {
				u := change(func(w *wei) { w.Gas = MaxGas + 1 })()
				u.Fee = gwei(20 * (MaxGas + 1))
				u.Pays[0].Amount = u.Pays[0].Net.Add(u.Fee)
				u.Holdings[0].Amount = u.Pays[0].Amount
				return u
			},
			"too little gas, owned up": func() chain.Unsigned {
				u := change(func(w *wei) { w.Gas = plainGas - 1 })()
				u.Fee = gwei(20 * (plainGas - 1))
				return u
			},
			"another byte of data": change(func(w *wei) { w.Data = []byte{7} }),
			"too little gas":       change(func(w *wei) { w.Gas = 20_999 }),
			"a higher fee":         change(func(w *wei) { w.FeeCap = gwei(21).Big() }),
			"a tip above the fee":  change(func(w *wei) { w.Tip = gwei(21).Big() }),
			"an authorisation":     claim(func(u *chain.Unsigned) { u.Raw[0] = 4 }),
			"an older type":        claim(func(u *chain.Unsigned) { u.Raw[0] = 1 }),
			"no type":              claim(func(u *chain.Unsigned) { u.Raw = u.Raw[1:] }),
			"bytes behind":         claim(func(u *chain.Unsigned) { u.Raw = append(u.Raw, 0) }),
			"a PSBT": claim(func(u *chain.Unsigned) {
				u.Raw = h.btc("S", 1, 9, []chain.Holding{h.coin("SHOP-A", 1, 9_999)}, settle("P", 9_999)).Raw
			}),
			"another fee claimed": claim(func(u *chain.Unsigned) { u.Fee = gwei(1) }),
			"another ticket":      claim(func(u *chain.Unsigned) { u.Holdings[0].Ticket += "0"; u.Anchor += "0" }),
			"another account":     claim(func(u *chain.Unsigned) { u.Holdings[0].Key.Index++ }),
			"above the holding":   claim(func(u *chain.Unsigned) { u.Holdings[0].Amount = u.Holdings[0].Amount.Sub(money.Of(money.ETH, 1)) }),
			"above what is owed":  claim(func(u *chain.Unsigned) { u.Pays[0].Amount = u.Pays[0].Net }),
			"two payouts": claim(func(u *chain.Unsigned) {
				u.Pays = append(u.Pays, pay("PX", chain.CauseSettlement, shopETH, gwei(1)))
				u.Pays[1].Net = gwei(1)
			}),
			"two holdings":          claim(func(u *chain.Unsigned) { u.Holdings = append(u.Holdings, u.Holdings[0]) }),
			"not registered":        claim(func(u *chain.Unsigned) { u.Pays[0].To = h.own[devnet]["SHOP-B"][0].Address }),
			"lower case receiver":   claim(func(u *chain.Unsigned) { u.Pays[0].To = "0x71c7656ec7ab88b098defb751b7401b5f6d8976f" }),
			"a refund to zero":      change(func(w *wei) { w.To = zero }),
			"attempt 11":            claim(func(u *chain.Unsigned) { u.Pays[0].Attempt = MaxAttempts + 1 }),
			"another chain claimed": claim(func(u *chain.Unsigned) { u.Network = "ethereum/1" }),
		} {
			_, err := h.sign(given())
			refused(t, name, err)
		}
		_, err := h.sign(h.eth("R", 1, 500, 9, 0, pay("R", chain.CauseRefund, "0x0000000000000000000000000000000000000000", gwei(1e8))))
		refused(t, "a refund to nobody", err)
		_, err = h.sign(h.eth("R", 1, 501, 9, 0, pay("R", chain.CauseRefund, shopETH, gwei(1e9))))
		refused(t, "above the fee rate", err)
	})
}

// The cap of a transaction's fee holds where its rate is allowed.
func TestFeeCap(t *testing.T) {
	p := DefaultPolicy(false)
	p.BTC.FeeRate, p.ETH.FeeRate = sat(1e9), gwei(1e6)
	h := newHouse(t, p)
	coins := []chain.Holding{h.coin("SHOP-A", 1, 450_000_000)}
	_, err := h.sign(h.btc("S1", 1, 2_000_001, coins, settle("P1", 400_000_000)))
	refused(t, "above the fee", err)
	h.must(h.btc("S1", 1, 2_000_000, coins, settle("P1", 400_000_000)))
	_, err = h.sign(h.eth("S2", 1, 2_381, 1, 0, pay("P2", chain.CauseSettlement, shopETH, gwei(2e9))))
	refused(t, "above the fee", err)
	for i, cause := range []chain.Cause{chain.CauseWithdrawal, chain.CauseGather} { // a fifth at most
		id, to := fmt.Sprint("W", i), pay(fmt.Sprint("W", i), cause, shopBTC, sat(100_000))
		if cause == chain.CauseGather {
			to.To, to.Own = h.own[regtest]["SHOP-A"][7].Address, &chain.Key{Branch: 5, Index: 7}
		}
		c := []chain.Holding{h.coin("SHOP-A", 10+i, 100_000)}
		_, err = h.sign(h.btc("S"+id, 1, 20_001, c, to))
		refused(t, "above the share of a "+string(cause), err)
		h.must(h.btc("S"+id, 1, 20_000, c, to))
	}
	h.must(h.eth("S2", 1, 2_380, 1, 0, pay("P2", chain.CauseSettlement, shopETH, gwei(2e9))))
}

func TestDestinations(t *testing.T) {
	both(t, Policy{}, func(t *testing.T, h *house) {
		ctx := context.Background()
		again := h.register("SHOP-A", regtest, shopBTC)
		if !again.From.Equal(h.clock) {
			t.Fatalf("the first: %+v", again)
		}
		h.clock = h.clock.Add(time.Hour)
		if later := h.register("SHOP-A", regtest, shopBTC); !later.From.Equal(again.From) {
			t.Fatalf("registered again: %+v", later)
		}
		second := h.register("SHOP-A", regtest, lateBTC)
		if !second.From.Equal(h.clock.Add(24 * time.Hour)) {
			t.Fatalf("the second: %+v", second)
		}
		u := h.btc("S", 1, 500, []chain.Holding{h.coin("SHOP-A", 1, 1_000_000)}, pay("P", chain.CauseSettlement, lateBTC, sat(400_000)))
		_, err := h.sign(u)
		waits(t, err, second.From)
		h.clock = second.From.Add(-time.Millisecond)
		h.reopen()
		_, err = h.sign(u)
		waits(t, err, second.From)
		h.clock = second.From
		h.must(u)
		if _, err := h.hand.Veto(ctx, "SHOP-A", regtest, lateBTC); err != nil {
			t.Fatal(err)
		}
		_, err = h.sign(h.btc("S", 2, 700, u.Holdings, u.Pays...))
		refused(t, "a bump to a vetoed one", err)
		if _, err = h.sign(u); err != nil { // it may be on its way anyhow
			t.Fatal(err)
		}
		h.reopen()
		_, err = h.sign(h.btc("S", 2, 700, u.Holdings, u.Pays...))
		refused(t, "… after a restart", err)
		_, err = h.hand.Register(ctx, second)
		refused(t, "a vetoed one registered again", err)
		if _, err := h.s.Approve(ctx, "SHOP-A", regtest, lateBTC); err != nil {
			t.Fatal(err)
		}
		_, err = h.sign(h.btc("S", 2, 700, u.Holdings, u.Pays...))
		waits(t, err, h.clock.Add(24*time.Hour))
		for name, d := range map[string]chain.Destination{
			"no address":      {Merchant: "SHOP-A", Network: regtest},
			"another network": {Merchant: "SHOP-A", Network: "bitcoin/mainnet", Address: shopBTC},
			"another chain":   {Merchant: "SHOP-A", Network: devnet, Address: shopBTC},
			"no merchant":     {Network: regtest, Address: shopBTC},
			"a tab":           {Merchant: "SHOP-A", Network: regtest, Address: shopBTC + "\t"},
		} {
			if _, err := h.hand.Register(ctx, d); !errors.Is(err, ErrWant) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := h.hand.Register(ctx, chain.Destination{Merchant: "SHOP-C", Network: regtest, Address: shopBTC}); !errors.Is(err, ErrBinding) {
			t.Errorf("a merchant without a branch: %v", err)
		}
	})
}

func TestApproval(t *testing.T) {
	both(t, DefaultPolicy(true), func(t *testing.T, h *house) {
		ctx := context.Background()
		u := h.btc("S", 1, 500, []chain.Holding{h.coin("SHOP-A", 1, 1_000_000)}, settle("P", 400_000))
		_, err := h.sign(u)
		waits(t, err, time.Time{})
		d, err := h.s.Approve(ctx, "SHOP-A", regtest, shopBTC)
		if err != nil || !d.From.Equal(h.clock.Add(24*time.Hour)) {
			t.Fatalf("%+v, %v", d, err)
		}
		h.clock = h.clock.Add(time.Hour)
		if again, err := h.s.Approve(ctx, "SHOP-A", regtest, shopBTC); err != nil || !again.From.Equal(d.From) {
			t.Fatalf("%+v, %v", again, err)
		}
		_, err = h.sign(u)
		waits(t, err, d.From)
		h.reopen()
		h.clock = d.From
		h.must(u)
	})
}

func (h *house) refund(id string, amount int64) chain.Unsigned {
	number := 0
	for _, c := range id {
		number = number*31 + int(c)
	}
	return h.btc("S"+id, 1, 300, []chain.Holding{h.coin("SHOP-A", number, amount)}, pay(id, chain.CauseRefund, payer, sat(amount)))
}

func TestRefundCaps(t *testing.T) {
	both(t, Policy{}, func(t *testing.T, h *house) {
		ctx := context.Background()
		start := h.clock
		h.must(h.refund("R1", 2_000_000))
		h.must(h.refund("R2", 3_000_000)) // 0.05 BTC in all: free
		delayed := h.refund("R3", 1_000)
		_, err := h.sign(delayed)
		waits(t, err, start.Add(30*time.Minute))
		h.clock = h.clock.Add(10 * time.Minute)
		h.reopen()
		_, err = h.sign(delayed) // the first request counts
		waits(t, err, start.Add(30*time.Minute))
		h.clock = start.Add(30 * time.Minute)
		h.must(delayed)
		other := h.refund("R4", 1_000)
		_, err = h.sign(other)
		waits(t, err, h.clock.Add(30*time.Minute))
		moved := other
		moved = h.btc(other.Spend, 1, 300, other.Holdings, pay("R4", chain.CauseRefund, lateBTC, sat(1_000)))
		h.clock = h.clock.Add(20 * time.Minute)
		_, err = h.sign(moved) // another address is another question
		waits(t, err, h.clock.Add(30*time.Minute))

		large := h.refund("R5", 10_000_001)
		_, err = h.sign(large)
		waits(t, err, time.Time{})
		h.clock = h.clock.Add(48 * time.Hour)
		_, err = h.sign(large)
		waits(t, err, time.Time{})
		if err := h.s.ApprovePayout(ctx, "R5"); err != nil {
			t.Fatal(err)
		}
		changed := h.btc(large.Spend, 1, 300, large.Holdings, pay("R5", chain.CauseRefund, lateBTC, sat(10_000_001)))
		if _, err := h.sign(changed); err == nil {
			t.Fatal("the approval holds for another address")
		}
		if _, err := h.sign(large); err == nil {
			t.Fatal("the approval holds after another question")
		}
		if err := h.s.ApprovePayout(ctx, "R5"); err != nil {
			t.Fatal(err)
		}
		h.reopen()
		h.must(large)
		// It does not count against the day, of which 0.5 BTC are left.
		var rest []chain.Unsigned
		for i := range 6 {
			rest = append(rest, h.refund(fmt.Sprint("D", i), 10_000_000))
		}
		for _, u := range rest {
			if _, err := h.sign(u); err == nil {
				t.Fatal("signed without delay")
			}
		}
		h.reopen()
		day := h.clock
		h.clock = h.clock.Add(time.Hour)
		for _, u := range rest[:5] {
			h.must(u)
		}
		_, err = h.sign(rest[5])
		var w *chain.Wait
		if !errors.As(err, &w) || w.Until.Before(day.Add(24*time.Hour)) || w.Until.After(day.Add(26*time.Hour)) {
			t.Fatalf("%v", err)
		}
		bump := h.btc(rest[0].Spend, 2, 400, rest[0].Holdings, rest[0].Pays...)
		h.must(bump) // versions count once
		h.clock = w.Until
		h.must(rest[5])
	})
}

// What no day is long enough for waits for approval, not for another day.
func TestAboveAWholeDay(t *testing.T) {
	p := DefaultPolicy(false)
	p.BTC.SettleDay = sat(100_000_000)
	h := newHouse(t, p)
	u := h.btc("S1", 1, 5_000, []chain.Holding{h.coin("SHOP-A", 1, 100_000_001)}, settle("P1", 100_000_001))
	_, err := h.sign(u)
	waits(t, err, time.Time{})
	if err := h.s.ApprovePayout(context.Background(), "P1"); err != nil {
		t.Fatal(err)
	}
	h.must(u)
	h.must(h.btc("S2", 1, 5_000, []chain.Holding{h.coin("SHOP-A", 2, 100_000_000)}, settle("P2", 100_000_000)))
}

// All merchants together have a cap of their own.
func TestRefundsOfAllMerchants(t *testing.T) {
	p := DefaultPolicy(false)
	p.BTC.RefundAll, p.RefundDelay = sat(12_000_000), 0
	h := newHouse(t, p)
	h.must(h.refund("R1", 9_000_000))
	u := h.btc("S2", 1, 300, []chain.Holding{h.coin("SHOP-B", 1, 4_000_000)}, pay("R2", chain.CauseRefund, payer, sat(4_000_000)))
	u.Merchant = "SHOP-B"
	if _, err := h.sign(u); !errors.As(err, new(*chain.Wait)) {
		t.Fatal(err)
	}
	if err := h.s.ApprovePayout(context.Background(), "R2"); err != nil {
		t.Fatal(err)
	}
	h.must(u)
}

func TestSettleAndWithdrawCaps(t *testing.T) {
	h := newHouse(t, Policy{})
	ctx := context.Background()
	big := func(id string, cause chain.Cause, number int, amount int64) chain.Unsigned {
		return h.btc("S"+id, 1, 5_000, []chain.Holding{h.coin("SHOP-A", number, amount)}, pay(id, cause, shopBTC, sat(amount)))
	}
	over := big("P0", chain.CauseSettlement, 1, 500_000_001)
	_, err := h.sign(over)
	waits(t, err, time.Time{})
	for i := range 4 {
		h.must(big(fmt.Sprint("P", i+1), chain.CauseSettlement, 2+i, 500_000_000))
	}
	next := big("P5", chain.CauseSettlement, 9, 1_000_000)
	if _, err := h.sign(next); !errors.As(err, new(*chain.Wait)) {
		t.Fatal(err)
	}
	for i := range 4 { // withdrawals count apart
		h.must(big(fmt.Sprint("W", i), chain.CauseWithdrawal, 20+i, 50_000_000))
	}
	if _, err := h.sign(big("W9", chain.CauseWithdrawal, 30, 1_000_000)); !errors.As(err, new(*chain.Wait)) {
		t.Fatal(err)
	}
	if err := h.s.ApprovePayout(ctx, "P0"); err != nil {
		t.Fatal(err)
	}
	h.must(over)
	h.clock = h.clock.Add(26 * time.Hour)
	h.must(next)
}

// Gathers leave nothing but fees, and of those a cap's worth a day, bumps counted.
func TestGatherCap(t *testing.T) {
	p := DefaultPolicy(false)
	p.BTC.GatherFee = sat(3_000)
	h := newHouse(t, p)
	gather := func(n, version int, fee int64) chain.Unsigned {
		to := h.own[regtest]["SHOP-A"][7]
		g := pay(fmt.Sprint("G", n), chain.CauseGather, to.Address, sat(90_000))
		g.Own = &chain.Key{Branch: 5, Index: to.Index}
		return h.btc(fmt.Sprint("S", n), version, fee, []chain.Holding{h.coin("SHOP-A", n, 90_000)}, g)
	}
	h.must(gather(1, 1, 1_000))
	h.must(gather(1, 2, 1_500))
	h.reopen()
	h.must(gather(2, 1, 1_500))
	if _, err := h.sign(gather(3, 1, 500)); !errors.As(err, new(*chain.Wait)) {
		t.Fatal(err)
	}
	if _, err := h.sign(gather(2, 2, 1_600)); !errors.As(err, new(*chain.Wait)) {
		t.Fatal(err)
	}
	h.clock = h.clock.Add(26 * time.Hour)
	h.must(gather(2, 2, 1_600))
}

func TestVoidAndHalt(t *testing.T) {
	both(t, Policy{}, func(t *testing.T, h *house) {
		ctx := context.Background()
		u := h.btc("S1", 1, 500, []chain.Holding{h.coin("SHOP-A", 1, 1_000_000)}, settle("P1", 400_000))
		if err := errors.Join(h.hand.Void(ctx, "S1"), h.hand.Void(ctx, "S1")); err != nil {
			t.Fatal(err)
		}
		_, err := h.sign(u)
		refused(t, "a void spend", err)
		h.reopen()
		_, err = h.sign(u)
		refused(t, "a void spend after a restart", err)
		u.Spend = "S2" // its coins and payout are free for another
		if err := h.s.Halt(ctx); err != nil {
			t.Fatal(err)
		}
		h.reopen()
		_, err = h.sign(u)
		waits(t, err, time.Time{})
		if _, err := h.hand.Release(ctx, want("SHOP-A", 5, regtest, 1)); err != nil {
			t.Errorf("no address while halted: %v", err)
		}
		if err := h.s.Resume(ctx); err != nil {
			t.Fatal(err)
		}
		h.must(u)
		refused(t, "void of a signed spend", h.hand.Void(ctx, "S2"))
		refused(t, "void of nothing", h.hand.Void(ctx, ""))
	})
}

func TestSignedLists(t *testing.T) {
	both(t, Policy{}, func(t *testing.T, h *house) {
		ctx := context.Background()
		var all []chain.SignedSpend
		for i := range 7 {
			for v := range 1 + i%3 {
				u := h.btc(fmt.Sprint("S", i), v+1, 500+int64(v), []chain.Holding{h.coin("SHOP-A", i, 1_000_000)}, settle(fmt.Sprint("P", i), 400_000))
				out := h.must(u)
				all = append(all, chain.SignedSpend{Spend: u.Spend, Version: u.Version, Network: regtest, Merchant: "SHOP-A", Raw: out.Raw, TxID: out.TxID, Anchor: u.Anchor,
					Fee: u.Fee, Holdings: []chain.Holding{{Ticket: u.Anchor, Amount: sat(1_000_000)}}, Pays: u.Pays})
			}
		}
		h.must(h.btc("S0", 2, 900, []chain.Holding{h.coin("SHOP-A", 0, 1_000_000)}, settle("P0", 400_000))) // later, and listed with its first
		h.reopen()
		var got []chain.SignedSpend
		after := ""
		for range 10 {
			page, err := h.hand.Signed(ctx, after, 2)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
			after = page[len(page)-1].Spend
		}
		if len(got) != len(all)+1 || got[1].Spend != "S0" || got[1].Version != 2 {
			t.Fatalf("%d listed, want %d", len(got), len(all)+1)
		}
		got = slices.Delete(got, 1, 2)
		for i := range all {
			if !bytes.Equal(got[i].Raw, all[i].Raw) || got[i].TxID != all[i].TxID || got[i].Spend != all[i].Spend || got[i].Version != all[i].Version ||
				!got[i].Fee.Equal(all[i].Fee) || got[i].Anchor != all[i].Anchor || got[i].Merchant != all[i].Merchant || len(got[i].Pays) != 1 ||
				got[i].Pays[0].Payout != all[i].Pays[0].Payout || !got[i].Pays[0].Net.Equal(all[i].Pays[0].Net) || got[i].Holdings[0].Ticket != all[i].Holdings[0].Ticket {
				t.Fatalf("%+v\nwant %+v", got[i], all[i])
			}
		}
		for _, limit := range []int{0, MaxListed + 1} {
			if _, err := h.hand.Signed(ctx, "", limit); !errors.Is(err, ErrWant) {
				t.Errorf("limit %d: %v", limit, err)
			}
		}
		if _, err := h.hand.Signed(ctx, "S99", 1); !errors.Is(err, ErrWant) {
			t.Errorf("behind nothing: %v", err)
		}
	})
}

// The default policy says what the limits of the design say, and the settings give the same.
func TestDefaultPolicy(t *testing.T) {
	c, err := LoadConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Policy()
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultPolicy(true)
	if a, b := fmt.Sprint(got), fmt.Sprint(want); a != b {
		t.Errorf("settings give %s, want %s", a, b)
	}
	text := func(c Caps) (all []string) {
		v := reflect.ValueOf(c)
		for i := range v.NumField() {
			all = append(all, v.Field(i).Interface().(money.Amount).Text())
		}
		return all
	}
	if got, want := text(want.BTC), []string{"0.005", "0.02", "5", "20", "0.5", "2", "0.1", "0.5", "2", "0.05", "0.05"}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got, want := text(want.ETH), []string{"0.0000005", "0.05", "100", "400", "10", "40", "2", "10", "40", "1", "1"}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}
