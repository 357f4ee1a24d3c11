package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A program is the built pipe with its settings: another process, as operators run it.
type program struct {
	path string
	env  []string
	addr string
}

// build makes the program as it is released.
func (b *lab) build(ctx context.Context) (string, error) {
	path := filepath.Join(b.dir, "pipe")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "github.com/pipe-pg/pipe/cmd/pipe") //nolint:gosec // our own
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build pipe: %w: %s", err, bytes.TrimSpace(out))
	}
	return path, nil
}

func newProgram(ctx context.Context, path, data, roles string) (*program, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0") // a port that is free now
	if err != nil {
		return nil, err
	}
	p := &program{path: path, addr: l.Addr().String()}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PIPE_") {
			p.env = append(p.env, kv)
		}
	}
	p.env = append(p.env, "PIPE_DISK_RESERVE=0", "PIPE_DATA="+data, "PIPE_ROLES="+roles, "PIPE_LISTEN="+p.addr, "PIPE_PUBLIC_URL=http://"+p.addr, "PIPE_BITCOIN=regtest",
		"PIPE_BITCOIN_NODES=http://user:password@127.0.0.1:9", "PIPE_RATES=fixed:BTC/KRW=95000000;BTC/USD=68500",
		"PIPE_SECRET_KEY="+strings.Repeat("0b", 32), "PIPE_SIGNER_PASSPHRASE=a passphrase of the benchmark")
	return p, l.Close()
}

func (p *program) run(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, p.path, args...) //nolint:gosec // our own
	cmd.Env = p.env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pipe %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// serve starts the server and tells how long it took until it was healthy. settle, if any, looks at the running process.
func (p *program) serve(ctx context.Context, settle func(pid int) error) (took time.Duration, err error) {
	cmd := exec.CommandContext(ctx, p.path, "serve") //nolint:gosec // our own
	var log bytes.Buffer
	cmd.Env, cmd.Stderr = p.env, &log
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for until := began.Add(maxWait); ; time.Sleep(time.Millisecond) {
		if err = p.healthy(ctx); err == nil || time.Now().After(until) {
			break
		}
		select {
		case err := <-ended:
			return 0, fmt.Errorf("serve ended: %w: %s", err, bytes.TrimSpace(log.Bytes()))
		default:
		}
	}
	took = time.Since(began)
	if err == nil && settle != nil {
		err = settle(cmd.Process.Pid)
	}
	if err = errors.Join(err, cmd.Process.Signal(syscall.SIGTERM), <-ended); err != nil {
		return took, fmt.Errorf("%w: %s", err, bytes.TrimSpace(log.Bytes()))
	}
	return took, nil
}

func (p *program) healthy(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", p.addr)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // only read
	if err := conn.SetDeadline(time.Now().Add(maxWait)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("GET /healthz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")); err != nil {
		return err
	}
	head := make([]byte, 12)
	if n, err := conn.Read(head); err != nil || !strings.HasSuffix(string(head[:n]), " 204") {
		return fmt.Errorf("healthz said %q: %w", head[:n], err)
	}
	return nil
}

// resident is the memory that a process holds, in bytes, after the garbage it made at start is gone.
func resident(pid int) (float64, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kb), "kB")))
			return float64(n) * 1024, err
		}
	}
	return 0, errors.New("no VmRSS")
}

func coldStart(ctx context.Context, b *lab) ([]result, error) {
	path, err := b.build(ctx)
	if err != nil {
		return nil, err
	}
	for name, rows := range map[string]int{"start-none": 0, "start-full": b.rows} {
		h, err := b.open(ctx, setup{name: name, roles: "api,checkout,worker", idle: true})
		if err != nil {
			return nil, err
		}
		if err := errors.Join(h.waiting(ctx, rows), h.close()); err != nil {
			return nil, err
		}
	}
	var all []result
	for _, of := range []struct {
		data, goal string
		limit      time.Duration
	}{
		{"start-empty", "cold start, empty", 50 * time.Millisecond},
		{"start-full", fmt.Sprintf("cold start, %d open invoices", b.rows), time.Second},
	} {
		r, err := b.startOf(ctx, path, filepath.Join(b.dir, of.data))
		if err != nil {
			return nil, err
		}
		r.goal, r.target = of.goal, fmt.Sprintf("≤ %d ms", of.limit.Milliseconds())
		r.met = r.got.median() <= millis(of.limit)
		all = append(all, r)
	}
	memory, err := b.memory(ctx, path)
	return append(all, memory...), err
}

func (b *lab) startOf(ctx context.Context, path, data string) (result, error) {
	p, err := newProgram(ctx, path, data, "api,checkout")
	if err != nil {
		return result{}, err
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return result{}, err
	}
	if err := p.run(ctx, "migrate"); err != nil {
		return result{}, err
	}
	r := result{limit: "`pipe version`", unit: "ms"}
	r.base, r.got, r.ratio, err = pairs(ctx, b.pairs, func(ctx context.Context) (float64, error) {
		began := time.Now()
		err := p.run(ctx, "version")
		return millis(time.Since(began)), err
	}, func(ctx context.Context) (float64, error) {
		took, err := p.serve(ctx, nil)
		return millis(took), err
	})
	return r, err
}

// memory compares an idle process without and with open invoices, all roles in it.
func (b *lab) memory(ctx context.Context, path string) ([]result, error) {
	var rss [3]float64 // the last two have seeds of the same kind
	for i, name := range []string{"start-empty", "start-none", "start-full"} {
		p, err := newProgram(ctx, path, filepath.Join(b.dir, name), "api,checkout,worker")
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(filepath.Join(b.dir, name, "signer")); errors.Is(err, os.ErrNotExist) {
			if err := p.run(ctx, "seed", "create"); err != nil {
				return nil, err
			}
		}
		_, err = p.serve(ctx, func(pid int) (err error) {
			select {
			case <-time.After(b.settle):
			case <-ctx.Done():
			}
			rss[i], err = resident(pid)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	after := fmt.Sprintf(" after %s", b.settle)
	each := (rss[2] - rss[1]) / float64(b.rows)
	return []result{
		{goal: "idle memory, all roles" + after, unit: "MB", got: series{rss[0] / 1e6}, target: "≤ 40 MB", met: rss[0] <= 40e6},
		{goal: fmt.Sprintf("memory per open invoice, %d open", b.rows), unit: "B", got: series{each}, target: "≤ 300 B", met: each <= 300,
			more: fmt.Sprintf("%.1f MB in all%s, %.1f MB without", rss[2]/1e6, after, rss[1]/1e6)},
	}, nil
}
