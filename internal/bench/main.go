// Command bench measures PIPE against limit programs that run in the same invocation, in turn with what is measured, and
// writes docs/performance.md. It is not in the product.
//
// A limit program does the least that the same promise costs: rows into the same database in shared commits, a handler
// that answers at once, a plain client. A ratio to it says what PIPE adds, and means the same on a busy machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"syscall"
	"time"
)

// options are what the caller chose.
type options struct {
	run     *regexp.Regexp
	pairs   int
	slice   time.Duration // of one rate measured
	rows    int           // stored before, where many are wanted
	waits   int           // open invoices while coins are seen
	events  int           // callbacks of one delivery run
	settle  time.Duration // before idle memory is read
	mode    string
	profile string
	out     string
}

func main() {
	o, list, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil && list {
		for _, c := range cases() {
			fmt.Printf("%-16s %s\n", c.name, c.goal)
		}
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = bench(ctx, o)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (o options, list bool, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	run := f.String("run", "", "run only the cases whose name matches this regular expression")
	quick := f.Bool("quick", false, "short slices and small databases: to see that all works, not to be quoted")
	full := f.Bool("full", false, "a million rows, 100 000 open invoices, long slices")
	f.BoolVar(&list, "list", false, "list the cases")
	f.IntVar(&o.rows, "rows", 0, "invoices stored before (default by mode)")
	f.IntVar(&o.pairs, "pairs", minPairs, "pairs of limit and measurement")
	f.StringVar(&o.out, "out", "", "file to write the page to (default: docs/performance.md for all cases not quick, else none)")
	f.StringVar(&o.profile, "cpuprofile", "", "file for a profile of the processor time")
	if err := f.Parse(args); err != nil {
		return o, false, err
	}
	if o.run, err = regexp.Compile(*run); err != nil {
		return o, false, fmt.Errorf("-run: %w", err)
	}
	rows := o.rows
	switch {
	case *quick:
		o.mode, o.slice, o.rows, o.waits, o.events, o.settle = "quick", 250*time.Millisecond, 10_000, 1_000, 600, 2*time.Second
	case *full:
		o.mode, o.slice, o.rows, o.waits, o.events, o.settle = "full", 2*time.Second, 1_000_000, 100_000, 10_000, time.Minute
	default:
		o.mode, o.slice, o.rows, o.waits, o.events, o.settle = "default", 700*time.Millisecond, 100_000, 10_000, 2_000, 10*time.Second
	}
	if rows > 0 {
		o.rows = rows
	}
	if o.out == "" && *run == "" && !*quick {
		o.out = filepath.Join("docs", "performance.md")
	}
	if o.pairs < 1 || o.pairs > maxPairs || o.rows > maxRows {
		return o, false, fmt.Errorf("at most %d pairs and %d rows", maxPairs, maxRows)
	}
	return o, list, nil
}

// A benchCase measures one goal of the table.
type benchCase struct {
	name, goal string
	run        func(ctx context.Context, b *lab) ([]result, error)
}

// cases are all there are, in the order of the table.
func cases() []benchCase {
	return []benchCase{
		{"create", "create, SQLite, 32 callers", createSQLite},
		{"create-one", "create, SQLite, one caller", createOne},
		{"create-postgres", "create, PostgreSQL, 32 callers", createPostgres},
		{"choose", "choose a coin, SQLite, 32 callers", chooseCoin},
		{"get", "get, SQLite, 32 callers, uniform over all rows", getMany},
		{"growth", "create and get, few rows against many", growth},
		{"seen", "coins seen to callback and page", seen},
		{"bitcoin", "Bitcoin block of 2.5 MB, a million watched", bitcoinBlock},
		{"ethereum", "Ethereum block of 300 transactions, a million watched", ethereumBlock},
		{"callbacks", "callbacks, durable, 100 hosts", callbacks},
		{"isolation", "callbacks, 30 % black holes and 10 % slow hosts", isolation},
		{"payouts-bitcoin", "payouts on regtest, until booked", payoutsBitcoin},
		{"payouts-ethereum", "payouts on a local Ethereum, until booked", payoutsEthereum},
		{"settlements", "what a settled invoice costs on Bitcoin, alone and together", settlementCost},
		{"start", "cold start and idle memory of the program", coldStart},
	}
}

// A lab is one run: what its cases share.
type lab struct {
	options
	dir  string
	ends []func() error
}

func (b *lab) later(end func() error) { b.ends = append(b.ends, end) }

// end ends what a case began, so that it does not work on beside the next one.
func (b *lab) end() error {
	var errs []error
	for i := len(b.ends) - 1; i >= 0; i-- {
		errs = append(errs, b.ends[i]())
	}
	b.ends = nil
	return errors.Join(errs...)
}

func (b *lab) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

func bench(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "pipe-bench-")
	if err != nil {
		return err
	}
	b := &lab{options: o, dir: dir}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if o.profile != "" {
		f, err := os.Create(filepath.Clean(o.profile))
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer func() { pprof.StopCPUProfile(); err = errors.Join(err, f.Close()) }()
	}
	var all []result
	began := time.Now()
	for _, c := range cases() {
		if !o.run.MatchString(c.name) {
			continue
		}
		b.say("%s: %s", c.name, c.goal)
		results, err := c.run(ctx, b)
		if err = errors.Join(err, b.end()); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		for _, r := range results {
			b.say("  %s", r.line())
		}
		all = append(all, results...)
	}
	page := report{results: all, machine: look(), options: o, took: time.Since(began), at: began}
	fmt.Println(page.table())
	if o.out == "" {
		return nil
	}
	return os.WriteFile(o.out, []byte(page.text()), 0o644) //nolint:gosec // a page for all to read
}
