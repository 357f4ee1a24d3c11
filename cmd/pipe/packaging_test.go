package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/app"
)

// The settings to begin with are settings, and units, settings and the guide for operators name the same files.
func TestPackaging(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	secret := filepath.Join(t.TempDir(), "passphrase")
	if err := os.WriteFile(secret, []byte("open sesame"), 0o600); err != nil {
		t.Fatal(err)
	}
	place := func(name, text string) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "/etc/pipe-signer/passphrase", secret)), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	house, keys := read("packaging/pipe.conf"), read("packaging/signer.conf")
	// What is commented out are settings too.
	all := regexp.MustCompile(`(?m)^#(PIPE_\w+?)(_FILE)?=(.*)$`).ReplaceAllString(house, "$1=$3")
	for _, text := range []string{house, all} {
		c, err := app.LoadConfig(place("pipe.conf", text), nil)
		if err != nil || len(c.Networks()) != 2 || c.PublicURL == "" {
			t.Errorf("%v\n%s", err, text)
		}
	}
	c, _, err := app.LoadSigner(place("signer.conf", keys), nil)
	if err != nil {
		t.Fatal(err)
	}
	guide := read("docs/operate.md")
	for file, want := range map[string][]string{
		"packaging/pipe.conf":           {"PIPE_SIGNER=" + c.Socket + "\n", "PIPE_DATA=/var/lib/pipe\n"},
		"packaging/pipe.service":        {"--config /etc/pipe/pipe.conf serve", "StateDirectory=pipe\n", "Restart=always"},
		"packaging/pipe-signer.service": {"--config /etc/pipe-signer/signer.conf signer run", "StateDirectory=pipe-signer\n", "SupplementaryGroups=" + c.Group + "\n", "RuntimeDirectory=" + filepath.Base(filepath.Dir(c.Socket)) + "\n"},
		"packaging/compose.yaml":        {"PIPE_SIGNER: " + c.Socket + "\n", "PIPE_SIGNER_DIR: " + c.Dir + "\n"},
		"packaging/Dockerfile":          {" " + c.Dir + "\n", " " + filepath.Dir(c.Socket) + "\n"},
	} {
		for _, w := range want {
			if !strings.Contains(read(file), w) {
				t.Errorf("%s lacks %q", file, w)
			}
		}
		if name := filepath.Base(file); !strings.Contains(guide, name) {
			t.Errorf("docs/operate.md does not name %s", name)
		}
	}
}
