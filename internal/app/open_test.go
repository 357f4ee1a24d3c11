package app

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/engine"
)

func testConfig(t *testing.T, more ...string) Config {
	t.Helper()
	c, err := LoadConfig("", append([]string{
		"PIPE_DATA=" + t.TempDir(), "PIPE_BITCOIN=regtest", "PIPE_BITCOIN_NODES=http://u:p@127.0.0.1:9", "PIPE_RATES=fixed:BTC/USD=68500",
	}, more...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A database whose callback secrets are under one key gets no second key made beside it, and another key is said aloud.
func TestSecretKeyBelongsToItsDatabase(t *testing.T) {
	c := testConfig(t)
	var log bytes.Buffer
	o := Options{Migrate: true, Log: slog.New(slog.NewTextHandler(&log, nil))}
	open := func(c Config) error {
		a, err := OpenDesk(t.Context(), c, o)
		if err != nil {
			return err
		}
		return a.Close()
	}
	a, err := OpenDesk(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	m, err := a.Desk.AddMerchant(t.Context(), "Shop")
	if err != nil {
		t.Fatal(err)
	}
	name := "App"
	if _, err := a.Desk.AddApplication(t.Context(), m.ID, engine.Change{Name: &name}); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(c); err != nil || strings.Contains(log.String(), "ERROR") {
		t.Errorf("with its own key: %v\n%s", err, log.String())
	}

	file := filepath.Join(c.Data, "secret.key")
	if err := os.Rename(file, file+".away"); err != nil {
		t.Fatal(err)
	}
	if err := open(c); err == nil || !strings.Contains(err.Error(), "PIPE_SECRET_KEY") {
		t.Errorf("without its key: %v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a second key was made")
	}
	other := c
	other.SecretKey = strings.Repeat("ab", 32)
	if err := open(other); err != nil || !strings.Contains(log.String(), "callbacks cannot be signed") {
		t.Errorf("with another key: %v\n%s", err, log.String())
	}
}

// Prices that nobody quotes sell no coins that have value.
func TestFixedPricesAreRefusedForCoinsWithValue(t *testing.T) {
	for setting, fine := range map[string]bool{
		"PIPE_BITCOIN=regtest": true, "PIPE_BITCOIN=testnet4": true, "PIPE_BITCOIN=mainnet": false,
	} {
		a, err := OpenDesk(t.Context(), testConfig(t, setting), Options{Migrate: true, Log: slog.New(slog.DiscardHandler)})
		if (err == nil) != fine {
			t.Errorf("%s: %v", setting, err)
		}
		if err == nil {
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
