package app

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/chain"
)

// settingsFile writes a file of settings.
func settingsFile(t *testing.T, lines ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "pipe.conf")
	if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// A signer of its own reads the same file as the gateway, and a typo there does not stay unseen.
func TestSignerReadsTheFile(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "passphrase")
	if err := os.WriteFile(secret, []byte("open\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := settingsFile(t, "PIPE_SIGNER_DIR="+dir, "PIPE_SIGNER_PASSPHRASE_FILE="+secret, "PIPE_SIGNER_BTC_SETTLE=1",
		"PIPE_SIGNER_SOCKET=/run/x.sock", "PIPE_BITCOIN=regtest", "PIPE_LOG=json")
	s, house, err := LoadSigner(file, []string{"PIPE_SIGNER_BTC_SETTLE=2"})
	if err != nil {
		t.Fatal(err)
	}
	if s.Dir != dir || s.Passphrase != "open" || s.Socket != "/run/x.sock" || s.BTCSettle != "2" || house.LogFormat != "json" || house.LogLevel != "info" {
		t.Errorf("%+v, log %s %s", s.Dir, house.LogFormat, house.LogLevel)
	}
	for line, want := range map[string]string{"PIPE_SINGER_DIR=x": "PIPE_SINGER_DIR", "PIPE_SIGNER_DIRR=x": "PIPE_SIGNER_DIRR"} {
		if _, _, err := LoadSigner(settingsFile(t, line), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
	}

	c, err := LoadConfig(file, []string{"PIPE_BITCOIN_NODES=http://u:p@127.0.0.1:9", "PIPE_DATA=/elsewhere"})
	if err != nil || c.SeedDir() != dir {
		t.Errorf("the embedded signer works in %q, not in PIPE_SIGNER_DIR: %v", c.SeedDir(), err)
	}
}

// What a shell and systemd read as quoted is quoted here too.
func TestQuotedValues(t *testing.T) {
	c, err := LoadConfig(settingsFile(t, `PIPE_DATA="/var/lib/my pipe"`, `PIPE_LOG='json'`, `PIPE_FX_FILE="`), nil)
	if err != nil || c.Data != "/var/lib/my pipe" || c.LogFormat != "json" || c.FXFile != `"` {
		t.Errorf("%q %q %q %v", c.Data, c.LogFormat, c.FXFile, err)
	}
}

// A wrong setting is told at once, by its key, with what to write.
func TestWrongSettingsAreNamed(t *testing.T) {
	for setting, want := range map[string]string{
		"PIPE_BITCOIN=testnet3 PIPE_BITCOIN_NODES=http://x":  "testnet4",
		"PIPE_ETHEREUM=mainnet PIPE_ETHEREUM_NODES=http://x": "write 1",
		"PIPE_LISTEN=8080": ":8080",
		"PIPE_ADMIN_LISTEN=9 PIPE_ADMIN_URL=https://x": "HOST:PORT",
		"PIPE_BITCON=regtest":                          "no such setting",
	} {
		_, err := LoadConfig("", strings.Fields(setting))
		key, _, _ := strings.Cut(setting, "=")
		if err == nil || !strings.Contains(err.Error(), key+":") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", setting, err)
		}
	}
}

// The doctor looks for the signer where this process has it, and not where it needs none.
func TestDoctorSigner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signer.sock")
	look := func(c Config) []chain.Level {
		d := &doctor{config: c}
		d.signer(t.Context())
		var all []chain.Level
		for _, f := range d.findings {
			all = append(all, f.Level)
		}
		return all
	}
	if got := look(Config{Roles: "worker", Signer: path}); !slices.Equal(got, []chain.Level{chain.Bad}) {
		t.Errorf("nobody listens: %v", got)
	}
	l, err := net.Listen("unix", path) //nolint:noctx // at once
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // of a test
	if got := look(Config{Roles: "worker", Signer: path}); !slices.Equal(got, []chain.Level{chain.Fine}) {
		t.Errorf("a signer apart: %v", got)
	}
	if got := look(Config{Roles: "worker"}); !slices.Equal(got, []chain.Level{chain.Bad}) {
		t.Errorf("no passphrase: %v", got)
	}
	if got := look(Config{Roles: "api,checkout"}); got != nil {
		t.Errorf("no worker: %v", got)
	}
}
