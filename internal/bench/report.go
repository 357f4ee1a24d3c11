package main

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// A machine is what a reader must know of where it was measured.
type machine struct {
	cpu, memory, system, database, revision string
	cores                                   int
	busy                                    string
}

func look() machine {
	m := machine{cpu: field("/proc/cpuinfo", "model name"), system: runtime.GOOS + "/" + runtime.GOARCH, cores: runtime.NumCPU()}
	m.memory = field("/proc/meminfo", "MemTotal")
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.busy = strings.Join(strings.Fields(string(text))[:3], " ")
	}
	if db, err := sql.Open("sqlite", ":memory:"); err == nil {
		if err := db.QueryRowContext(context.Background(), "SELECT sqlite_version()").Scan(&m.database); err != nil {
			m.database = "?"
		}
		db.Close() //nolint:errcheck,gosec // it was in memory
	}
	if out, err := exec.CommandContext(context.Background(), "git", "describe", "--always", "--dirty").Output(); err == nil {
		m.revision = strings.TrimSpace(string(out))
	}
	return m
}

// field is a value of a file of "name: value" lines.
func field(file, name string) string {
	f, err := os.Open(file) //nolint:gosec // of this table
	if err != nil {
		return "unknown"
	}
	defer f.Close() //nolint:errcheck // only read
	for in := bufio.NewScanner(f); in.Scan(); {
		if k, v, ok := strings.Cut(in.Text(), ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

// A report is the page that a run writes.
type report struct {
	results []result
	machine machine
	options options
	took    time.Duration
	at      time.Time
}

// table is the results as Markdown, which people can read as it is.
func (p report) table() string {
	var b strings.Builder
	b.WriteString("| goal | measured | limit L | ratio to L: median (least–most) | more | target | |\n|---|---|---|---|---|---|---|\n")
	for _, r := range p.results {
		limit, ratio := "–", "–"
		if len(r.base) > 0 {
			limit = fmt.Sprintf("%s: %s", r.limit, number(r.base.median()))
		}
		if len(r.ratio) > 0 {
			ratio = fmt.Sprintf("**%s** (%s–%s), n=%d", short(r.ratio.median()), short(r.ratio.least()), short(r.ratio.most()), len(r.ratio))
		}
		verdict := map[bool]string{true: "met", false: "missed"}[r.met]
		if r.target == "" {
			verdict = ""
		}
		fmt.Fprintf(&b, "| %s | %s %s | %s | %s | %s | %s | %s |\n", r.goal, number(r.got.median()), r.unit, limit, ratio, r.more, r.target, verdict)
	}
	return b.String()
}

const preface = `# Performance

Written by %s; do not edit. Each measurement stands between two runs of a limit program, which does the least that the same
promise costs on the same machine: rows of 600 bytes with three indexes in durable shared commits, a handler that answers at once, a
plain HTTP client, the raw bytes of a block. The ratio to it (L) is what counts: absolute figures differ from machine to machine, and
on a busy machine from minute to minute. Ratios of rates are better when higher, those of times when lower.

`

const epilogue = `
## How

- Callers, servers, databases and fake nodes share the machine, over loopback. A caller writes a prepared request on one connection and
  reads the whole answer. Nothing is measured warm that would be cold in use, nor the other way round: databases are filled first, through
  the store, with the same rows that the calls make.
- create and get are multipart, as the guide sends them, through the whole program: routing, limits, key, application, log line, store.
  After each create case the stored invoices are counted and must equal the acknowledged ones.
- Payouts go through the whole engine, builder and signer (its journal synced) to a local chain in the same process, and count when
  they are booked as done; the limit signs with a bare key, sends to the same node and mines as many blocks. What a settlement weighs
  is read from the bytes that the program sent.
- SQLite runs with WAL and synchronous=FULL; PostgreSQL is a private server with its own defaults, so with fsync.
- Fixtures come from fixed seeds. ` + "`go run ./internal/bench -list`" + ` names the cases, ` + "`-run`" + ` picks some, ` + "`-full`" + ` takes a million rows.

## Not measured

- TLS, networks with distance, disks that are not this one, and callers on other machines.
- Ethereum balances: how long a node takes to weigh accounts is the node's; a block is measured with what PIPE itself does.
- One day behind, several processes on one PostgreSQL, ten million rows.
- Power cuts: what a kill loses (nothing acknowledged) is proven by the tests, not here.
`

func (p report) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, preface, "`make bench`")
	m := p.machine
	fmt.Fprintf(&b, "Measured %s in %s, mode %s, %d pairs each, revision %s.\n", p.at.UTC().Format("2 January 2006, 15:04 UTC"), p.took.Round(time.Second), p.options.mode, p.options.pairs, m.revision)
	fmt.Fprintf(&b, "%d cores (%s), %s memory, %s, %s, SQLite %s. Load average at the end: %s.\n\n", m.cores, m.cpu, m.memory, m.system, runtime.Version(), m.database, m.busy)
	b.WriteString(p.table())
	b.WriteString(epilogue)
	return b.String()
}
