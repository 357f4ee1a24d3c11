package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

type auditCommand struct {
	JSON bool `help:"Answer in JSON."`
}

// Run prints each difference; any difference is a failure.
func (c auditCommand) Run(e *env) (err error) {
	a, err := e.desk()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	r, err := a.Auditor().Audit(e.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		differences := []map[string]string{}
		for _, d := range r.Differences {
			differences = append(differences, map[string]string{"what": d.What, "text": d.Text})
		}
		held := map[string]string{}
		for n, amount := range r.Held {
			held[string(n)] = amount.Text()
		}
		err = e.json(map[string]any{
			"clean": r.Clean(), "entries": r.Entries, "balances": r.Balances, "deposits": r.Deposits, "addresses": r.Addresses,
			"held": held, "differences": differences, "unchecked": append([]string{}, r.Unchecked...),
		})
	} else {
		_, err = fmt.Fprintf(e.stdout, "%d entries, %d balances, %d deposits, %d addresses\n", r.Entries, r.Balances, r.Deposits, r.Addresses)
		for _, n := range slices.Sorted(maps.Keys(r.Held)) {
			_, err2 := fmt.Fprintf(e.stdout, "held on %s: %s\n", n, r.Held[n])
			err = errors.Join(err, err2)
		}
		for _, u := range r.Unchecked {
			_, err2 := fmt.Fprintf(e.stdout, "not checked: %s\n", u)
			err = errors.Join(err, err2)
		}
		for _, d := range r.Differences {
			_, err2 := fmt.Fprintf(e.stdout, "DIFFERENCE in %s: %s\n", d.What, d.Text)
			err = errors.Join(err, err2)
		}
	}
	if err != nil {
		return err
	}
	if !r.Clean() {
		return fmt.Errorf("%d differences", len(r.Differences))
	}
	if c.JSON {
		return nil
	}
	_, err = fmt.Fprintln(e.stdout, "no differences")
	return err
}
