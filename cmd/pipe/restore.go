package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/pipe-pg/pipe/internal/app"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/signer"
)

type restoreCommand struct {
	FromSeed bool `name:"from-seed" required:"" help:"Look on the chains for every address and coin of a recovery phrase, which is read from standard input, and bring the seed back."`
	Gap      int  `default:"10000" help:"How many addresses to look at behind the last used one of each merchant, 1 to 10000."`
	Branches int  `default:"5" help:"How many merchants in a row without any coin end the search."`
	LookOnly bool `name:"look-only" help:"Only look: write neither seed nor journal."`
	JSON     bool `name:"json" help:"Print JSON."`
}

// Run needs no database: the phrase and the nodes are enough.
func (r restoreCommand) Run(e *env) error {
	if r.Gap < 1 || r.Gap > 10_000 || r.Branches < 1 {
		return errors.New("--gap is 1 to 10000 and --branches at least 1")
	}
	c, _, err := e.config()
	if err != nil {
		return err
	}
	phrase, err := e.phrase()
	if err != nil {
		return err
	}
	defer phrase.Wipe()
	coins, next, err := app.FindAll(e.ctx, c, phrase, app.Search{Gap: r.Gap, Branches: r.Branches, Progress: func(n money.Network, branch, from uint32) {
		fmt.Fprintf(os.Stderr, "looking at %s, merchant %d, addresses from %d\n", n, branch, from)
	}})
	if err != nil {
		return err
	}
	if err := r.print(e.stdout, coins); err != nil || r.LookOnly {
		return err
	}
	o, dir, err := e.signer()
	if err != nil {
		return err
	}
	o.RestoreGap = next + uint32(r.Gap)
	if err := signer.Restore(o, phrase); err != nil {
		return err
	}
	_, err = fmt.Fprintf(os.Stderr, "The seed is back in %s. New addresses begin at index %d of every merchant.\n", dir, o.RestoreGap)
	return err
}

func (r restoreCommand) print(to io.Writer, coins []app.FoundCoin) error {
	if r.JSON {
		type line struct {
			Network  money.Network `json:"network"`
			Merchant uint32        `json:"merchant"`
			Index    uint32        `json:"index"`
			Address  string        `json:"address"`
			Ref      string        `json:"ref"`
			Amount   string        `json:"amount"`
		}
		all := []line{}
		for _, f := range coins {
			all = append(all, line{f.Network, f.Branch, f.Index, f.Address, f.Ref, f.Amount.Text()})
		}
		return json.NewEncoder(to).Encode(all)
	}
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	if _, err := fmt.Fprintln(t, "NETWORK\tMERCHANT\tINDEX\tADDRESS\tAMOUNT\tOUTPUT"); err != nil {
		return err
	}
	totals := map[money.Currency]money.Amount{}
	for _, f := range coins {
		if _, err := fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\n", f.Network, f.Branch, f.Index, f.Address, f.Amount, f.Ref); err != nil {
			return err
		}
		totals[f.Amount.Currency()] = totals[f.Amount.Currency()].Add(f.Amount)
	}
	for _, coin := range []money.Currency{money.BTC, money.ETH} {
		if sum, any := totals[coin]; any {
			if _, err := fmt.Fprintf(t, "total\t\t\t\t%s\t\n", sum); err != nil {
				return err
			}
		}
	}
	return t.Flush()
}
