package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// guard runs the server until its standard input ends, which is when this process has ended, however that came.
const guard = `"$0" -D data -k "$1" -c listen_addresses= -c max_connections=100 -c shared_buffers=256MB -c log_min_messages=error >log 2>&1 &
read _
kill -QUIT $!
wait
cd / && rm -rf "$1"`

// postgres starts a private PostgreSQL with its own defaults: durable, unlike that of the tests. BENCH_DATABASE_URL names a
// server to use instead, with an empty database.
func (b *lab) postgres(ctx context.Context) (string, error) {
	if address := os.Getenv("BENCH_DATABASE_URL"); address != "" {
		return address, nil
	}
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	bin := ""
	if len(bins) > 0 {
		slices.Sort(bins)
		bin = filepath.Dir(bins[len(bins)-1])
	} else if path, err := exec.LookPath("postgres"); err == nil {
		bin = filepath.Dir(path)
	}
	if bin == "" {
		return "", errors.New("no PostgreSQL is installed: install one, or name an empty database in BENCH_DATABASE_URL")
	}
	dir, err := os.MkdirTemp("", "pipe-bench-pg-")
	if err != nil {
		return "", err
	}
	attr, err := userFor(dir)
	if err != nil {
		return "", err
	}
	init := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", "data", "-U", "pipe", "-A", "trust", "-E", "UTF8", "--locale=C") //nolint:gosec // an installed program
	init.Dir, init.SysProcAttr = dir, attr
	if out, err := init.CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	stdin, hold, err := os.Pipe()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("/bin/sh", "-c", guard, filepath.Join(bin, "postgres"), dir) //nolint:gosec,noctx // ended by its standard input
	cmd.Dir, cmd.Stdin, cmd.SysProcAttr = dir, stdin, attr
	if err := cmd.Start(); err != nil {
		return "", err
	}
	b.later(func() error { return errors.Join(hold.Close(), cmd.Wait()) })
	if err := stdin.Close(); err != nil {
		return "", err
	}
	address := (&url.URL{Scheme: "postgres", User: url.User("pipe"), Path: "/postgres",
		RawQuery: url.Values{"host": {dir}, "sslmode": {"disable"}}.Encode()}).String()
	return address, await(ctx, func() error {
		conn, err := pgx.Connect(ctx, address)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
}

// userFor lets the server run as another user when this is root, which PostgreSQL refuses to serve.
func userFor(dir string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Setsid: true}
	if os.Getuid() != 0 {
		return attr, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, os.Chown(dir, int(uid), int(gid))
}

// await tries until it works.
func await(ctx context.Context, try func() error) error {
	for until := time.Now().Add(maxWait); ; {
		err := try()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || time.Now().After(until) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}
