package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/pipe-pg/pipe/internal/app"
	"github.com/pipe-pg/pipe/internal/engine"
)

type auditCommand struct {
	JSON bool `help:"Answer in JSON."`
}

// Run prints each difference; any difference is a failure.
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
	held, totals := map[string]string{}, map[string]any{}
	for n, amount := range r.Held {
		held[string(n)] = amount.Text()
	}
	for n, t := range r.Totals {
		totals[string(n)] = map[string]string{
			"in": t.In.Text(), "settled": t.Settled.Text(), "refunded": t.Refunded.Text(), "withdrawn": t.Withdrawn.Text(),
			"fees": t.Fees.Text(), "held": t.Held.Text(),
		}
	}
	return map[string]any{
		"clean": r.Clean(), "entries": r.Entries, "balances": r.Balances, "deposits": r.Deposits, "addresses": r.Addresses,
		"held": held, "totals": totals, "differences": differences, "unchecked": append([]string{}, r.Unchecked...),
	}
}

func auditText(r engine.Report) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%d entries, %d balances, %d deposits, %d addresses\n", r.Entries, r.Balances, r.Deposits, r.Addresses)
	t := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tin\tsettled\trefunded\twithdrawn\tfees\theld\t")
	for _, n := range slices.Sorted(maps.Keys(r.Totals)) {
		is := r.Totals[n]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", n, is.In.Text(), is.Settled.Text(), is.Refunded.Text(), is.Withdrawn.Text(), is.Fees.Text(), is.Held.Text())
	}
	if err := t.Flush(); err != nil {
		fmt.Fprintf(&out, "%v\n", err)
	}
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
