package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/pipe-pg/pipe/internal/app"
	"github.com/pipe-pg/pipe/internal/engine"
)

type auditCommand struct {
	JSON bool `help:"Answer in JSON."`
}

// Run prints what became of all coins, and each difference; any difference is a failure.
func (c auditCommand) Run(e *env) error {
	return e.withDesk(func(a *app.App) error {
		r, err := a.Auditor().Audit(e.ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			err = e.json(auditJSON(r))
		} else {
			_, err = e.stdout.Write(auditText(r))
		}
		if err == nil && !r.Clean() {
			err = fmt.Errorf("%d differences", len(r.Differences))
		}
		return err
	})
}

func auditJSON(r engine.Report) map[string]any {
	differences := []map[string]string{}
	for _, d := range r.Differences {
		differences = append(differences, map[string]string{"what": d.What, "text": d.Text})
	}
	held, totals := map[string]string{}, map[string]map[string]string{}
	for n, t := range r.Totals {
		held[string(n)] = t.Held.Text()
		totals[string(n)] = map[string]string{
			"in": t.In.Text(), "settled": t.Settled.Text(), "refunded": t.Refunded.Text(), "withdrawn": t.Withdrawn.Text(),
			"fees": t.Fees.Text(), "held": t.Held.Text(),
		}
	}
	return map[string]any{
		"clean": r.Clean(), "entries": r.Entries, "balances": r.Balances, "deposits": r.Deposits, "addresses": r.Addresses,
		"payouts": r.Payouts, "spends": r.Spends, "held": held, "totals": totals, "differences": differences,
		"unchecked": append([]string{}, r.Unchecked...),
	}
}

// totalsText is a table of what became of all coins.
func totalsText(to io.Writer, r engine.Report) error {
	rows := "network\tin\tsettled\trefunded\twithdrawn\tfees\theld\t\n"
	for _, n := range slices.Sorted(maps.Keys(r.Totals)) {
		t := r.Totals[n]
		rows += fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", n, t.In.Text(), t.Settled.Text(), t.Refunded.Text(), t.Withdrawn.Text(), t.Fees.Text(), t.Held)
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	if _, err := io.WriteString(table, rows); err != nil {
		return err
	}
	return table.Flush()
}

func auditText(r engine.Report) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%d entries, %d balances, %d deposits, %d addresses, %d payouts, %d spends\n\n",
		r.Entries, r.Balances, r.Deposits, r.Addresses, r.Payouts, r.Spends)
	if err := totalsText(&out, r); err != nil {
		fmt.Fprintln(&out, err)
	}
	fmt.Fprintln(&out)
	for _, u := range r.Unchecked {
		fmt.Fprintf(&out, "not checked: %s\n", u)
	}
	for _, d := range r.Differences {
		fmt.Fprintf(&out, "DIFFERENCE in %s: %s\n", d.What, d.Text)
	}
	if r.Clean() {
		fmt.Fprintln(&out, "no differences")
	}
	return out.Bytes()
}
