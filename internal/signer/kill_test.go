package signer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
)

const runDir = "PIPE_SIGNER_TEST_RUN"

// TestRunChild is no test of its own: it is the process that TestSignOverKills kills.
func TestRunChild(t *testing.T) {
	dir := os.Getenv(runDir)
	if dir == "" {
		return
	}
	c, err := LoadConfig([]string{"PIPE_SIGNER_DIR=" + dir, "PIPE_SIGNER_SOCKET=" + filepath.Join(dir, "s"), "PIPE_SIGNER_APPROVE=false",
		"PIPE_SIGNER_BTC_SETTLE_DAY=20000000", "PIPE_SIGNER_PASSPHRASE=" + testPass})
	if err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), c, slog.New(slog.DiscardHandler)); err != nil {
		fmt.Println("ENDED", err)
	}
}

// A signer as a real process on real files, killed at any moment, while a client signs, bumps and voids over the socket:
// what was answered stays true.
func TestSignOverKills(t *testing.T) {
	h := newHouse(t, Policy{})
	if err := h.s.Close(); err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	for name, data := range ground.files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := dial(t, filepath.Join(dir, "s"))
	h.hand = c
	told := map[string]chain.Signed{}
	void := map[string]bool{}
	kills, n := 0, 0
	for start := range 8 {
		child := exec.Command(os.Args[0], "-test.run=^TestRunChild$")
		child.Env = append(os.Environ(), runDir+"="+dir)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { _, err := c.Marks(t.Context()); return err == nil })
		h.register("SHOP-A", regtest, shopBTC)
		checkTold(t, c, told, void)
		for end, calls := false, 0; !end; n, calls = n+1, calls+1 {
			if calls == 10+start {
				time.AfterFunc(time.Duration(start)*700*time.Microsecond, func() {
					if err := child.Process.Kill(); err != nil {
						t.Error(err)
					}
				})
			}
			end = signOne(t, h, n/3, n%3, told, void)
		}
		if err := child.Wait(); err == nil {
			t.Fatal("the signer ended by itself")
		}
		kills++
	}
	if len(told) < 20 || len(void) == 0 {
		t.Errorf("%d kills, and only %d signatures and %d void", kills, len(told), len(void))
	}
	t.Logf("%d kills, %d signatures, %d void", kills, len(told), len(void))
}

// signOne signs a spend, bumps it, or voids another one, and tells whether the signer is gone.
func signOne(t *testing.T, h *house, spend, what int, told map[string]chain.Signed, void map[string]bool) (gone bool) {
	t.Helper()
	id := fmt.Sprint("S", spend)
	if what == 2 {
		id = fmt.Sprint("V", spend)
		err := h.hand.Void(t.Context(), id)
		if err == nil {
			void[id] = true
		} else if !errors.Is(err, ErrUnreachable) {
			t.Fatal(err)
		}
		return err != nil
	}
	u := h.btc(id, 1+what, int64(500+what*300), []chain.Holding{h.coin("SHOP-A", spend, 100_000)}, settle("P"+id, 100_000))
	out, err := h.sign(u)
	if errors.Is(err, ErrUnreachable) {
		return true
	}
	if err != nil {
		t.Fatal(err)
	}
	h.verify(u, out)
	told[fmt.Sprint(id, "/", u.Version)] = out
	return false
}

func checkTold(t *testing.T, c *Client, told map[string]chain.Signed, void map[string]bool) {
	t.Helper()
	listed, after := map[string][]byte{}, ""
	for {
		page, err := c.Signed(context.Background(), after, MaxListed)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, s := range page {
			listed[fmt.Sprint(s.Spend, "/", s.Version)] = s.Raw
			after = s.Spend
			if void[s.Spend] {
				t.Fatalf("%s was void and is signed", s.Spend)
			}
		}
	}
	for key, was := range told {
		if !bytes.Equal(listed[key], was.Raw) {
			t.Fatalf("%s was answered and is gone", key)
		}
	}
}
