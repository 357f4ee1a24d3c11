package signer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// A hand is what embedded signers and clients both are.
type hand interface {
	Release(ctx context.Context, w chain.Want) (chain.Batch, error)
	Marks(ctx context.Context) (chain.Marks, error)
	NewEpoch(ctx context.Context) (uint64, error)
	Sign(ctx context.Context, u chain.Unsigned) (chain.Signed, error)
	Void(ctx context.Context, spend string) error
	Register(ctx context.Context, d chain.Destination) (chain.Destination, error)
	Veto(ctx context.Context, merchant string, n money.Network, address string) (chain.Destination, error)
	Destinations(ctx context.Context) ([]Registered, error)
	Signed(ctx context.Context, after string, limit int) ([]chain.SignedSpend, error)
}

var (
	_ hand = (*Signer)(nil)
	_ hand = (*Client)(nil)
)

// shortDir is a directory whose name leaves room for a socket's, which has some 100 bytes.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pipe")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// listening serves a signer on both sockets and gives their paths, and what ends it.
func listening(t testing.TB, s *Signer) (house, operator string, stop func()) {
	t.Helper()
	dir := shortDir(t)
	house, operator = filepath.Join(dir, "signer.sock"), filepath.Join(dir, "operator.sock")
	one, err := Listen(context.Background(), house, 0o660, "")
	if err != nil {
		t.Fatal(err)
	}
	two, err := Listen(context.Background(), operator, 0o600, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serveBoth(ctx, s, one, two) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return house, operator, stop
}

func dial(t testing.TB, path string) *Client {
	t.Helper()
	c := Dial(path)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// overSocket makes the house's hand a client.
func (h *house) overSocket() {
	h.t.Helper()
	path, _, stop := listening(h.t, h.s)
	c := Dial(path)
	h.hand, h.hangUp = c, func() {
		if err := c.Close(); err != nil {
			h.t.Error(err)
		}
		stop()
	}
	h.t.Cleanup(h.hangUp)
}

// both runs a test with the embedded signer and over the socket.
func both(t *testing.T, p Policy, run func(t *testing.T, h *house)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { run(t, newHouse(t, p)) })
	t.Run("socket", func(t *testing.T) {
		h := newHouse(t, p)
		h.socket = true
		h.overSocket()
		run(t, h)
	})
}

func TestLease(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := newLease(func() time.Time { return now })
	one, err := l.take("one")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.take("two"); !errors.Is(err, ErrLeased) {
		t.Fatalf("a second holder: %v", err)
	}
	now = now.Add(Lease - time.Second)
	if err := l.renew("one", one); err != nil {
		t.Fatal(err)
	}
	now = now.Add(Lease - time.Second)
	if _, err := l.take("two"); !errors.Is(err, ErrLeased) {
		t.Fatalf("after a renewal: %v", err)
	}
	now = now.Add(time.Second) // it fell silent
	two, err := l.take("two")
	if err != nil || two <= one {
		t.Fatalf("fence %d after %d, %v", two, one, err)
	}
	for _, f := range []struct {
		who   string
		fence uint64
	}{{"one", one}, {"one", two}, {"two", one}, {"", two}, {"three", two}} {
		if err := l.renew(f.who, f.fence); !errors.Is(err, ErrLeased) {
			t.Errorf("%s with fence %d: %v", f.who, f.fence, err)
		}
	}
	l.leave("one") // its old connection ends late
	if err := l.renew("two", two); err != nil {
		t.Fatal(err)
	}
	if _, err := l.take("two"); err != nil { // a second connection of the same program
		t.Fatal(err)
	}
	l.leave("two")
	if _, err := l.take("one"); !errors.Is(err, ErrLeased) {
		t.Fatalf("while a connection is left: %v", err)
	}
	l.leave("two")
	if three, err := l.take("one"); err != nil || three <= two {
		t.Fatalf("once all are gone: fence %d after %d, %v", three, two, err)
	}
}

func TestSocketLease(t *testing.T) {
	h := newHouse(t, Policy{})
	path, _, stop := listening(t, h.s)
	ctx := context.Background()
	one, two := dial(t, path), dial(t, path)
	if _, err := one.Marks(ctx); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"marks": func() error { _, err := two.Marks(ctx); return err },
		"sign": func() error {
			_, err := two.Sign(ctx, h.btc("S", 1, 500, []chain.Holding{h.coin("SHOP-A", 1, 90_000)}, pay("P", chain.CauseSettlement, shopBTC, sat(90_000))))
			return err
		},
		"epoch": func() error { _, err := two.NewEpoch(ctx); return err },
		"void":  func() error { return two.Void(ctx, "S") },
	} {
		if err := call(); !errors.Is(err, ErrLeased) {
			t.Errorf("%s by a second program: %v", name, err)
		}
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { _, err := two.Marks(ctx); return err == nil }) // the old connection is gone
	stop()
	if _, err := two.Marks(ctx); !errors.Is(err, ErrUnreachable) {
		t.Fatalf("without a signer: %v", err)
	}
}

// eventually waits for what another goroutine is about to do.
func eventually(t testing.TB, is func() bool) {
	t.Helper()
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatal("never")
}

// A client goes on when its signer was started again, and calls of many goroutines do not mix.
func TestSocketReconnects(t *testing.T) {
	h := newHouse(t, Policy{})
	path, _, stop := listening(t, h.s)
	c := dial(t, path)
	ctx := context.Background()
	if _, err := c.Marks(ctx); err != nil {
		t.Fatal(err)
	}
	stop()
	l, err := Listen(context.Background(), path, 0o660, "")
	if err != nil {
		t.Fatal(err)
	}
	again, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- Serve(again, h.s, l) }()
	var group sync.WaitGroup
	seen := make([][]chain.Released, 8)
	for g := range seen {
		group.Go(func() {
			for range 10 {
				b, err := c.Release(ctx, want("SHOP-A", 5, devnet, 3))
				if err != nil {
					t.Error(err)
					return
				}
				seen[g] = append(seen[g], b.Addresses...)
			}
		})
	}
	group.Wait()
	all := slices.Concat(seen...)
	slices.SortFunc(all, func(x, y chain.Released) int { return int(x.Index) - int(y.Index) })
	if n := len(slices.CompactFunc(all, func(x, y chain.Released) bool { return x.Address == y.Address })); n != 240 {
		t.Errorf("%d different addresses", n)
	}
	gone, give := context.WithCancel(ctx)
	give()
	if _, err := c.Marks(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := c.Marks(ctx); err != nil {
		t.Errorf("after a cancelled call: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestOperatorOverSocket(t *testing.T) {
	p := DefaultPolicy(true)
	h := newHouse(t, p)
	path, operator, _ := listening(t, h.s)
	ctx := context.Background()
	c, o := dial(t, path), DialOperator(operator)
	defer func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}()
	d, err := c.Register(ctx, chain.Destination{Merchant: "SHOP-B", Network: regtest, Address: shopBTC})
	if err != nil || !d.From.IsZero() {
		t.Fatalf("%+v, %v", d, err)
	}
	all, err := o.Destinations(ctx)
	if err != nil || len(all) != 3 || all[2].Merchant != "SHOP-B" || all[2].Approved || !all[2].At.Equal(h.clock) {
		t.Fatalf("%+v, %v", all, err)
	}
	if theirs, err := c.Destinations(ctx); err != nil || len(theirs) != 3 {
		t.Fatalf("%+v, %v", theirs, err)
	}
	if d, err = o.Approve(ctx, "SHOP-B", regtest, shopBTC); err != nil || !d.From.Equal(h.clock.Add(p.DestinationDelay)) {
		t.Fatalf("%+v, %v", d, err)
	}
	if d, err = c.Veto(ctx, "SHOP-B", regtest, shopBTC); err != nil || !d.From.IsZero() {
		t.Fatalf("%+v, %v", d, err)
	}
	if _, err = c.Register(ctx, d); !errors.Is(err, chain.ErrRefused) {
		t.Fatalf("a vetoed one: %v", err)
	}
	u := h.btc("S", 1, 500, []chain.Holding{h.coin("SHOP-A", 1, 20_000_000)}, pay("P", chain.CauseRefund, payer, sat(20_000_000)))
	_, err = c.Sign(ctx, u)
	waits(t, err, time.Time{})
	asked, err := o.Pending(ctx)
	if err != nil || len(asked) != 1 || asked[0].Payout != "P" || asked[0].To != payer || !asked[0].Amount.Equal(sat(20_000_000)) || asked[0].Approved {
		t.Fatalf("%+v, %v", asked, err)
	}
	if err := errors.Join(o.ApprovePayout(ctx, "P"), o.Halt(ctx)); err != nil {
		t.Fatal(err)
	}
	_, err = c.Sign(ctx, u)
	waits(t, err, time.Time{})
	s, err := o.Status(ctx)
	if err != nil || !s.Halted || s.Pending != 1 || s.Destinations != 3 || s.Merchants != 2 || s.Signed != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	if err := o.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	out, err := c.Sign(ctx, u)
	if err != nil {
		t.Fatal(err)
	}
	h.verify(u, out)
	if err := o.ApprovePayout(ctx, "Q"); !errors.Is(err, ErrWant) {
		t.Errorf("a payout that does not wait: %v", err)
	}
	if _, err := o.Approve(ctx, "SHOP-B", regtest, payer); !errors.Is(err, ErrWant) {
		t.Errorf("an address that is not registered: %v", err)
	}
}

// The gateway's socket has no method that loosens anything, and neither socket breaks on what is not its protocol.
func TestSocketRefuses(t *testing.T) {
	h := newHouse(t, Policy{})
	path, operator, _ := listening(t, h.s)
	frame := func(body string) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
	}
	exchange := func(path string, sent []byte) (string, error) {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}()
		if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(sent); err != nil {
			return "", err
		}
		body, err := readFrame(c, maxReply, func() {})
		return string(body), err
	}
	for _, method := range []string{"approve", "approve-payout", "halt", "resume", "pending", "status", "sign", "nothing", ""} {
		lease := frame(`{"method":"lease","body":{"instance":"evil"}}`)
		body, err := exchange(path, lease)
		if err != nil || !strings.Contains(body, "fence") {
			t.Fatalf("%s, %v", body, err)
		}
		fence := strings.Trim(strings.Split(body, ":")[2], "}")
		call := frame(fmt.Sprintf(`{"method":%q,"fence":%s,"body":{}}`, method, fence))
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = c.Write(append(slices.Clone(lease), call...)); err == nil {
			_, err = readFrame(c, maxReply, func() {})
		}
		if err != nil {
			t.Fatal(err)
		}
		answer, err := readFrame(c, maxReply, func() {})
		if err := errors.Join(err, c.Close()); err != nil || !bytes.Contains(answer, []byte(`"error"`)) {
			t.Errorf("%s: %s, %v", method, answer, err)
		}
	}
	for _, body := range []string{`{}`, `[]`, `"x"`, `{"method":"marks"}`, `{"method":"marks","fence":1}`, `{"method":"lease"}`, `{"method":"lease","body":{"instance":""}}`,
		`{"method":"lease","body":{"instance":"x","more":1}}`, `{"method":"marks"} {}`, `{"method":1}`, strings.Repeat("[", 10_000), "\x00\xff"} {
		for _, p := range []string{path, operator} {
			if answer, err := exchange(p, frame(body)); err != nil || !strings.Contains(answer, `"error"`) {
				t.Errorf("%.40s: %s, %v", body, answer, err)
			}
		}
	}
	for name, sent := range map[string][]byte{"too long": {0, 4, 0, 1}, "much too long": {255, 255, 255, 255}, "empty": {0, 0, 0, 0}} {
		if answer, err := exchange(path, sent); err == nil {
			t.Errorf("%s: %s", name, answer)
		}
	}
}

func TestSocketIsBounded(t *testing.T) {
	h := newHouse(t, Policy{})
	path, _, _ := listening(t, h.s)
	var held []net.Conn
	for range maxConns {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	c := dial(t, path)
	eventually(t, func() bool { _, err := c.Marks(context.Background()); return errors.Is(err, ErrBusy) })
	for _, c := range held {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	eventually(t, func() bool { _, err := c.Marks(context.Background()); return err == nil })
}

func TestListen(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "s")
	l, err := Listen(context.Background(), path, 0o660, "")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := Listen(context.Background(), path, 0o660, ""); err == nil || !strings.Contains(err.Error(), "somebody listens") {
		t.Errorf("a second one: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as after kill -9
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	if l, err = Listen(context.Background(), path, 0o600, ""); err != nil {
		t.Fatalf("over a stale socket: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(context.Background(), path, 0o600, ""); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("over a file: %v", err)
	}
	if _, err := Listen(context.Background(), filepath.Join(dir, "none", "s"), 0o600, ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without its directory: %v", err)
	}
	if _, err := Listen(context.Background(), filepath.Join(dir, "t"), 0o600, "no-such-group-here"); err == nil {
		t.Error("for a group that is not there")
	}
}

// Every error that engine may ask about survives the socket.
func TestErrorsSurvive(t *testing.T) {
	until := time.UnixMilli(1_800_000_000_123)
	for _, known := range wireWords() {
		got := toWire(fmt.Errorf("do: %w", known)).err()
		if !errors.Is(got, known) || !strings.HasPrefix(got.Error(), "do: ") {
			t.Errorf("%v became %v", known, got)
		}
	}
	for _, w := range []*chain.Wait{{Until: until, Reason: "new"}, {Reason: "approval"}} {
		waits(t, toWire(fmt.Errorf("sign: %w", w)).err(), w.Until)
	}
	if err := toWire(errors.New("other")).err(); errors.Is(err, chain.ErrRefused) || err.Error() != "other" {
		t.Error(err)
	}
}

// Once the journal could not be written for sure, the answer says so and the process ends, for a fresh start to read what is
// on the disk.
func TestServeEndsWithTheJournal(t *testing.T) {
	h := newHouse(t, Policy{})
	if err := h.s.Close(); err != nil {
		t.Fatal(err)
	}
	f := &faulty{left: -1, way: faultAfter}
	h.o.wrap = func(file *os.File) disk { f.lazy = lazy{file}; return f }
	h.s = open(t, h.o)
	dir := shortDir(t)
	one, err := Listen(context.Background(), filepath.Join(dir, "one"), 0o660, "")
	if err != nil {
		t.Fatal(err)
	}
	two, err := Listen(context.Background(), filepath.Join(dir, "two"), 0o600, "")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- serveBoth(context.Background(), h.s, one, two) }()
	c := dial(t, filepath.Join(dir, "one"))
	f.left = 1
	_, err = c.Sign(context.Background(), h.btc("S", 1, 500, []chain.Holding{h.coin("SHOP-A", 1, 90_000)}, settle("P", 90_000)))
	if !errors.Is(err, ErrStopped) {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrStopped) {
		t.Fatalf("it ended with %v", err)
	}
	if _, err := c.Marks(context.Background()); !errors.Is(err, ErrUnreachable) {
		t.Fatalf("it still answers: %v", err)
	}
}

// The signer inside the gateway has an operator too, and works without where the directory has a name too long for a socket.
func TestOperate(t *testing.T) {
	for _, deep := range []string{"", strings.Repeat("d", 120)} {
		o := options(filepath.Join(shortDir(t), deep, "signer"))
		if _, err := Create(o); err != nil {
			t.Fatal(err)
		}
		s := open(t, o)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- s.Operate(ctx) }()
		if deep == "" {
			who := DialOperator(filepath.Join(o.Dir, operatorName))
			eventually(t, func() bool { return who.Halt(ctx) == nil })
			if st, err := s.Status(ctx); err != nil || !st.Halted {
				t.Errorf("%+v, %v", st, err)
			}
			if err := who.Close(); err != nil {
				t.Error(err)
			}
			cancel()
		}
		if err := <-ended; err != nil {
			t.Errorf("%.20s: %v", deep, err)
		}
		cancel()
	}
}

func TestSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(file, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := LoadConfig([]string{"PIPE_DATA=/var/lib/pipe", "PIPE_LISTEN=:1", "PIPE_SIGNER=x", "PIPE_SIGNER_PASSPHRASE_FILE=" + file,
		"PIPE_SIGNER_BTC_REFUND=0.25", "PIPE_SIGNER_REFUND_DELAY=2h", "PIPE_SIGNER_APPROVE=false", "PIPE_SIGNER_ETH_FEE_RATE=90"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Policy()
	if err != nil || p.Approve || p.RefundDelay != 2*time.Hour || !p.BTC.Refund.Equal(sat(25_000_000)) || !p.ETH.FeeRate.Equal(gwei(90)) || !p.BTC.FeeRate.Equal(sat(500_000)) {
		t.Errorf("%+v, %v", p, err)
	}
	if c.Dir != "/var/lib/pipe/signer" || c.Socket != "/var/lib/pipe/signer.sock" || c.Operator != "/var/lib/pipe/signer/operator.sock" || c.Passphrase != "correct horse" {
		t.Errorf("%+v", c)
	}
	var out bytes.Buffer
	if err := c.Print(&out); err != nil || strings.Contains(out.String(), "correct horse") || !strings.Contains(out.String(), "PIPE_SIGNER_BTC_REFUND=0.25\n") {
		t.Errorf("%s, %v", out.String(), err)
	}
	for _, bad := range []string{"PIPE_SIGNER_BTC_REFUND=x", "PIPE_SIGNER_BTC_REFUND=-1", "PIPE_SIGNER_REFUND_DELAY=30", "PIPE_SIGNER_APPROVE=perhaps", "PIPE_SIGNER_NONE=1",
		"PIPE_SIGNER_SETTLE_FEE_SHARE=101", "PIPE_SIGNER_BTC_FEE_RATE=1.5", "PIPE_SIGNER_PASSPHRASE_FILE=/nowhere", "PIPE_SIGNER_DESTINATION_DELAY=-1h"} {
		if _, err := LoadConfig([]string{bad}); err == nil || !strings.Contains(err.Error(), strings.Split(bad, "=")[0][:16]) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
