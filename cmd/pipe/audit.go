package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

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
	held := map[string]string{}
	for n, amount := range r.Held {
		held[string(n)] = amount.Text()
	}
	return map[string]any{
		"clean": r.Clean(), "entries": r.Entries, "balances": r.Balances, "deposits": r.Deposits, "addresses": r.Addresses,
		"held": held, "differences": differences, "unchecked": append([]string{}, r.Unchecked...),
	}
}

func auditText(r engine.Report) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%d entries, %d balances, %d deposits, %d addresses\n", r.Entries, r.Balances, r.Deposits, r.Addresses)
	for _, n := range slices.Sorted(maps.Keys(r.Held)) {
		fmt.Fprintf(&out, "held on %s: %s\n", n, r.Held[n])
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
