package bitcoin_test

import (
	"fmt"
	"testing"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/pipe-pg/pipe/internal/bitcoin"
	"github.com/pipe-pg/pipe/internal/chain"
	devchain "github.com/pipe-pg/pipe/internal/devchain/bitcoin"
)

// settlements is a batch of so many invoices, each paid by one coin, all to one shop; apart: each to a shop of its own.
func settlements(t testing.TB, w wallet, invoices int, apart bool) chain.Draft {
	d := chain.Draft{Network: regtest, Spend: "s", Version: 1}
	shop := newWallet(t).address
	for i := range invoices {
		d.Holdings = append(d.Holdings, w.holding(i, 100_000))
		to := shop
		if apart {
			to = account(t).Address
		}
		d.Pays = append(d.Pays, chain.Pay{Payout: fmt.Sprint(i), To: to, Amount: btc(100_000)})
	}
	d.Anchor = d.Holdings[0].Ticket
	return d
}

// measure is the virtual size of a signed version, in bytes.
func measure(t testing.TB, u chain.Unsigned, w wallet) int64 {
	s, err := sign(u, w.key)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := btcutil.NewTxFromBytes(s.Raw)
	if err != nil {
		t.Fatal(err)
	}
	return (blockchain.GetTransactionWeight(tx) + 3) / 4
}

// TestSettlementsShareATransaction: the more invoices, the less each costs, and with fifty no more than the goal.
func TestSettlementsShareATransaction(t *testing.T) {
	q := newQuoter(t)
	b, w := openBuilder(t, q.server.URL), newWallet(t)
	last := int64(1 << 20)
	for _, invoices := range []int{1, 10, bitcoin.MaxInputs} {
		u, err := b.Build(t.Context(), settlements(t, w, invoices, false))
		if err != nil {
			t.Fatal(err)
		}
		each := measure(t, u, w) * 1000 / int64(invoices)
		if each >= last || invoices == 50 && each > 75_000 {
			t.Errorf("%d invoices in one transaction: %d.%03d virtual bytes each", invoices, each/1000, each%1000)
		}
		last = each
	}
}

// BenchmarkSettlements measures what a settled invoice costs in batches: virtual bytes, and satoshi at 10 per virtual byte.
func BenchmarkSettlements(b *testing.B) {
	q := newQuoter(b)
	q.set(func() { q.estimate = decimal(10_000) })
	builder, w := openBuilder(b, q.server.URL), newWallet(b)
	for _, kind := range []string{"one shop", "many shops"} {
		for _, invoices := range []int{1, 10, 50} {
			b.Run(fmt.Sprintf("%s/%d", kind, invoices), func(b *testing.B) {
				d := settlements(b, w, invoices, kind == "many shops")
				var u chain.Unsigned
				for b.Loop() {
					var err error
					if u, err = builder.Build(b.Context(), d); err != nil {
						b.Fatal(err)
					}
				}
				n := float64(invoices)
				b.ReportMetric(float64(measure(b, u, w))/n, "vB/invoice")
				b.ReportMetric(float64(units(u.Fee))/n, "sat/invoice")
				b.ReportMetric(float64(len(u.Raw))/n, "PSBT-B/invoice")
			})
		}
	}
}

// BenchmarkPayouts measures how fast payouts of one coin each are built, signed, sent and mined, a hundred to a block.
func BenchmarkPayouts(b *testing.B) {
	c, err := devchain.Open(b.Context(), devchain.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := c.Close(); err != nil {
			b.Errorf("close chain: %v", err)
		}
	})
	builder, mine, to := openBuilder(b, c.URL()), account(b), account(b).Address
	const block = 100
	var coins []string // txids of coins to spend, output 0 each
	for paid := 0; b.Loop(); paid++ {
		if paid%block == 0 {
			b.StopTimer()
			coins = coins[:0]
			for range block {
				txid, err := c.Pay(b.Context(), mine.Address, 50_000)
				if err != nil {
					b.Fatal(err)
				}
				coins = append(coins, txid)
			}
			if _, _, err := c.Mine(b.Context(), 1); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		held := chain.Holding{Ticket: chain.Ticket(coins[paid%block] + ":0"), Address: mine.Address, Amount: btc(50_000)}
		u, err := builder.Build(b.Context(), chain.Draft{Network: regtest, Version: 1, Holdings: []chain.Holding{held}, Anchor: held.Ticket,
			Pays: []chain.Pay{{Payout: "p", To: to, Amount: btc(50_000)}}})
		if err != nil {
			b.Fatal(err)
		}
		s, err := mine.Sign(u)
		if err != nil {
			b.Fatal(err)
		}
		if err := builder.Broadcast(b.Context(), s.Raw); err != nil {
			b.Fatal(err)
		}
		if paid%block == block-1 {
			if _, _, err := c.Mine(b.Context(), 1); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "payouts/s")
}
