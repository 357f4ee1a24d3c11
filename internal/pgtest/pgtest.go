// Package pgtest finds or starts a PostgreSQL for tests and gives each test an empty database of its own.
//
// TEST_DATABASE_URL names a server to use, by a user that may create databases. Without it a private server is started
// from the installed programs, once per test binary, on a unix socket in a temporary directory. It needs no clean-up by
// its users: it ends and its directory goes when the test binary ends, however that ends.
package pgtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// startTimeout is how long a private server may take to start, its files included.
	startTimeout = 60 * time.Second
	// poll is how often a starting server is asked whether it is ready.
	poll = 20 * time.Millisecond
	// connections bounds the connections to a private server.
	connections = 300
)

// server is the server of this test binary, found or started at the first use.
var server = sync.OnceValues(find) //nolint:gochecknoglobals // one server per test binary

// URL is a database URL of a new, empty database, which is dropped when the test ends.
func URL(t testing.TB) string {
	t.Helper()
	base, err := server()
	if err != nil {
		t.Fatalf("pgtest: %v\ninstall PostgreSQL 15 or newer (Debian: apt install postgresql), "+
			"or set TEST_DATABASE_URL to a server where databases may be created", err)
	}
	name := "pipe_test_" + strings.ToLower(rand.Text())
	if err := run(base, "CREATE DATABASE "+name); err != nil {
		t.Fatalf("pgtest: make a database: %v", err)
	}
	t.Cleanup(func() {
		if err := run(base, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("pgtest: drop a database: %v", err)
		}
	})
	u, err := url.Parse(base)
	if err != nil {
		t.Fatalf("pgtest: read TEST_DATABASE_URL: %v", err)
	}
	u.Path = "/" + name
	return u.String()
}

func run(base, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, base)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

func find() (string, error) {
	if base := os.Getenv("TEST_DATABASE_URL"); base != "" {
		return base, nil
	}
	bin, err := programs()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "pipe-pg-")
	if err != nil {
		return "", fmt.Errorf("make a directory: %w", err)
	}
	base, err := start(bin, dir)
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return base, nil
}

// programs is the directory of the newest installed server.
func programs() (string, error) {
	best, newest := "", 0.0
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin/postgres", "/usr/pgsql-*/bin/postgres", "/opt/homebrew/opt/postgresql@*/bin/postgres",
		"/usr/local/opt/postgresql@*/bin/postgres", "/usr/local/pgsql/bin/postgres",
	} {
		all, err := filepath.Glob(pattern)
		if err != nil {
			return "", fmt.Errorf("look for PostgreSQL: %w", err)
		}
		for _, path := range all {
			dir := filepath.Dir(filepath.Dir(path))
			name := filepath.Base(dir)
			version, err := strconv.ParseFloat(name[strings.LastIndexAny(name, "-@")+1:], 64)
			if err != nil {
				version = 0 // a directory without a version counts least
			}
			if best == "" || version > newest {
				best, newest = filepath.Dir(path), version
			}
		}
	}
	if best == "" {
		if path, err := exec.LookPath("postgres"); err == nil {
			return filepath.Dir(path), nil
		}
		return "", errors.New("no PostgreSQL is installed")
	}
	return best, nil
}

// attributes make the server run as another user when this is root, which PostgreSQL refuses to serve, and in a session of
// its own, so that an interrupt from the keyboard leaves ending it to us.
func attributes(dir string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Setsid: true}
	if os.Getuid() != 0 {
		return attr, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, fmt.Errorf("find a user to run PostgreSQL as: %w", err)
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("find a user to run PostgreSQL as: %w", err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("find a user to run PostgreSQL as: %w", err)
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		return nil, fmt.Errorf("give PostgreSQL its directory: %w", err)
	}
	return attr, nil
}

// guard makes the server's files and runs the server until its standard input ends, which is when the test binary has
// ended, and tidies up. Sorted as people's databases are, where ICU is built in, so that tests see whether an order was
// left to the server's taste. A server that has only just been started still ignores QUIT, as a shell's background
// command: TERM ends that one, and QUIT any other without waiting for its clients.
const guard = `{ "$0/initdb" -D data -U pipe -A trust -E UTF8 --locale=C --no-sync --locale-provider=icu --icu-locale=en ||
	"$0/initdb" -D data -U pipe -A trust -E UTF8 --locale=C --no-sync; } >log 2>&1
"$0/postgres" -D data -k "$1" -c listen_addresses= -c max_connections="$2" -c fsync=off -c full_page_writes=off \
	-c shared_buffers=64MB -c log_min_messages=error >>log 2>&1 &
read _
kill -TERM $!
kill -QUIT $!
wait
cd / && rm -rf "$1"`

func start(bin, dir string) (string, error) {
	attr, err := attributes(dir)
	if err != nil {
		return "", err
	}
	stdin, hold, err := os.Pipe()
	if err != nil {
		return "", fmt.Errorf("start PostgreSQL: %w", err)
	}
	cmd := exec.Command("/bin/sh", "-c", guard, bin, dir, strconv.Itoa(connections))
	cmd.Dir, cmd.Stdin, cmd.SysProcAttr, cmd.Env = dir, stdin, attr, environment()
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("start PostgreSQL: %w", err)
	}
	if err := stdin.Close(); err != nil {
		return "", fmt.Errorf("start PostgreSQL: %w", err)
	}
	base := (&url.URL{Scheme: "postgres", User: url.User("pipe"), Path: "/postgres",
		RawQuery: url.Values{"host": {dir}, "sslmode": {"disable"}}.Encode()}).String()
	if err := ready(base, dir); err != nil {
		return "", errors.Join(err, hold.Close(), cmd.Wait())
	}
	go wait(cmd, hold)
	return base, nil
}

// wait keeps the server's standard input open as long as this process lives.
func wait(cmd *exec.Cmd, hold io.Closer) {
	if err := cmd.Wait(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest: PostgreSQL ended:", err)
	}
	if err := hold.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
	}
}

// environment leaves out what would lead PostgreSQL's programs to another server.
func environment() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "PG") {
			env = append(env, e)
		}
	}
	return env
}

func ready(base, dir string) error {
	until := time.Now().Add(startTimeout)
	for {
		err := run(base, "SELECT 1")
		if err == nil {
			return nil
		}
		if time.Now().After(until) {
			log, bad := os.ReadFile(filepath.Join(dir, "log"))
			return errors.Join(fmt.Errorf("PostgreSQL does not start: %w: %s", err, bytes.TrimSpace(log)), bad)
		}
		time.Sleep(poll)
	}
}
