// Package bitcoind drives a real bitcoind in regtest for tests: payments, blocks, reorganisations, double spends,
// and a node that is down for a while. Its controls are those of the chain in process (package bitcoin).
package bitcoind

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/pipe-pg/pipe/internal/devchain/bitcoin"
)

var (
	// ErrClosed says that the node was closed.
	ErrClosed = bitcoin.ErrClosed
	// ErrDown says that the node is paused or killed.
	ErrDown = errors.New("bitcoind is down")

	errLoading = errors.New("mempool is loading")
)

// Output is one output of a payment.
type Output = bitcoin.Output

// Options tell which node to start, and where.
type Options struct {
	Path   string       // of bitcoind; empty: what Find finds
	Dir    string       // data directory, created if missing; a node started again there goes on
	Logger *slog.Logger // nil: nothing is logged
}

// Node is a bitcoind process with a wallet of mature coins. Safe for concurrent use; controls run one at a time.
type Node struct {
	opts     Options
	log      *slog.Logger
	user     string
	password string
	port     int
	client   *http.Client

	mu     sync.Mutex // owns all below; held through a whole control
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
	output *tail
	closed bool
}

// Start starts a node and gives it mature coins if it has none. It takes about one second.
func Start(ctx context.Context, o Options) (*Node, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.Path == "" {
		path, err := Find(ctx)
		if err != nil {
			return nil, err
		}
		o.Path = path
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("find data directory: %w", err)
	}
	o.Dir = dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	n := &Node{
		opts: o, log: o.Logger, user: "pipe", password: rand.Text(),
		client: &http.Client{Timeout: callTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 4}},
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for try := 1; ; try++ {
		if err = n.choosePort(); err == nil {
			err = n.launch(ctx)
		}
		if err == nil || try == startTries || ctx.Err() != nil {
			break
		}
	}
	if err == nil {
		err = n.endow(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, n.kill())
	}
	return n, nil
}

// choosePort takes a free port and writes the node's configuration with it.
func (n *Node) choosePort() error {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("find a free port: %w", err)
	}
	n.port = listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		return fmt.Errorf("free the port: %w", err)
	}
	// The wallet sends nothing by itself: what is dropped stays dropped.
	conf := fmt.Sprintf(`regtest=1
server=1
listen=0
dnsseed=0
walletbroadcast=0
keypool=25
[regtest]
rpcbind=127.0.0.1
rpcallowip=127.0.0.1
rpcport=%d
rpcuser=%s
rpcpassword=%s
`, n.port, n.user, n.password)
	if err := os.WriteFile(filepath.Join(n.opts.Dir, "bitcoin.conf"), []byte(conf), 0o600); err != nil {
		return fmt.Errorf("write bitcoin.conf: %w", err)
	}
	return nil
}

// launch starts the process and waits until it answers.
func (n *Node) launch(ctx context.Context) error {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), n.opts.Path, "-datadir="+n.opts.Dir) // outlives ctx, which bounds the start alone
	cmd.SysProcAttr = processAttr()
	output := &tail{}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start bitcoind: %w", err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		if err := cmd.Wait(); err != nil {
			n.log.Debug("bitcoind ended", "err", err)
		}
	}()
	n.cmd, n.exited, n.output = cmd, exited, output
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := n.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			n.cmd = nil
			return fmt.Errorf("bitcoind ended at start: %s", output)
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait for bitcoind: %w: %w", ctx.Err(), err), n.kill())
		case <-tick.C:
		}
	}
}

// ready says whether the node answers and has loaded its mempool, which it does in the background.
func (n *Node) ready(ctx context.Context) error {
	var info struct{ Loaded bool }
	if err := n.call(ctx, "getmempoolinfo", nil, &info); err != nil {
		return err
	}
	if !info.Loaded {
		return errLoading
	}
	return nil
}

// endow makes wallet and coins at the first start.
func (n *Node) endow(ctx context.Context) error {
	var wallets []string
	if err := n.call(ctx, "listwallets", nil, &wallets); err != nil {
		return err
	}
	if len(wallets) == 0 {
		args := map[string]any{"wallet_name": "faucet", "load_on_startup": true}
		if err := n.call(ctx, "createwallet", args, nil); err != nil {
			return err
		}
	}
	var height int64
	if err := n.call(ctx, "getblockcount", nil, &height); err != nil || height > premineBlocks {
		return err
	}
	if _, _, err := n.mine(ctx, max(1, premineBlocks-int(height))); err != nil {
		return fmt.Errorf("premine: %w", err)
	}
	own, err := n.newAddress(ctx)
	if err != nil {
		return err
	}
	coins := make([]Output, premineCoins)
	for i := range coins {
		coins[i] = Output{Address: own, Sats: 1e8}
	}
	if _, err := n.pay(ctx, coins); err != nil {
		return fmt.Errorf("split coins: %w", err)
	}
	_, _, err = n.mine(ctx, 1)
	return err
}

// URL is the RPC endpoint with user and password: http://user:password@host:port. It stays over Pause and Resume.
func (n *Node) URL() string {
	u := url.URL{Scheme: "http", User: url.UserPassword(n.user, n.password), Host: n.host()}
	return u.String()
}

func (n *Node) host() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(n.port)) }

// Pause stops the node cleanly; Resume starts it again.
func (n *Node) Pause(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stop(ctx)
}

// Kill ends the node with SIGKILL. Resumed, it may stand at a lower height: it writes its index from time to time.
func (n *Node) Kill() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.kill()
}

// Resume starts a paused or killed node again, on the same port and data.
func (n *Node) Resume(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed:
		return ErrClosed
	case n.cmd != nil:
		return nil
	}
	return n.launch(ctx)
}

// Close stops the node for good. It may be called twice.
func (n *Node) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return n.stop(ctx)
}

func (n *Node) stop(ctx context.Context) error {
	if n.cmd == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if err := n.call(ctx, "stop", nil, nil); err != nil {
		return errors.Join(err, n.kill())
	}
	select {
	case <-n.exited:
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("stop bitcoind: %w", ctx.Err()), n.kill())
	}
	n.gone()
	return nil
}

func (n *Node) kill() error {
	if n.cmd == nil {
		return nil
	}
	if err := n.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill bitcoind: %w", err)
	}
	<-n.exited
	n.gone()
	return nil
}

func (n *Node) gone() {
	n.cmd = nil
	n.client.CloseIdleConnections()
}

// tail keeps the end of the node's output, to say why it ended.
type tail struct {
	mu  sync.Mutex
	end []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = append(t.end, p...)
	if len(t.end) > logTail {
		t.end = bytes.Clone(t.end[len(t.end)-logTail:])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.end)
}
