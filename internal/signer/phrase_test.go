package signer

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestWordlist(t *testing.T) {
	// The list of the BIP: github.com/bitcoin/bips, bip-0039/english.txt.
	const official = "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
	if sum := sha256.Sum256([]byte(english)); hex.EncodeToString(sum[:]) != official {
		t.Fatalf("english.txt has SHA-256 %x", sum)
	}
	if len(wordlist) != 2048 || !slices.IsSorted(wordlist) {
		t.Fatalf("%d words, sorted %v", len(wordlist), slices.IsSorted(wordlist))
	}
}

// The vectors of BIP-39 (github.com/trezor/python-mnemonic, vectors.json, English), whose extra word is TREZOR.
func TestPhraseVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/bip39.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if len(lines) != 24 {
		t.Fatalf("%d vectors", len(lines))
	}
	for _, line := range lines {
		field := strings.Split(line, "|")
		entropy, err := hex.DecodeString(field[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := phraseOf(entropy); got != field[1] {
			t.Errorf("%s: phrase %q, want %q", field[0], got, field[1])
		}
		if got, err := checkPhrase("  " + strings.ToUpper(strings.ReplaceAll(field[1], " ", " \n "))); err != nil || got != field[1] {
			t.Errorf("%s: read back as %q, %v", field[0], got, err)
		}
		seed, err := seedOf(field[1], "TREZOR")
		if err != nil || hex.EncodeToString(seed) != field[2] {
			t.Errorf("%s: seed %x, %v, want %s", field[0], seed, err, field[2])
		}
	}
}

func TestPhraseRefused(t *testing.T) {
	good := phraseOf(make([]byte, 32))
	words := strings.Fields(good)
	swapped := strings.Fields(phraseOf([]byte("0123456789abcdef0123456789abcdef")))
	swapped[3], swapped[4] = swapped[4], swapped[3]
	for name, text := range map[string]string{
		"empty":          "",
		"one word":       "zoo",
		"23 words":       strings.Join(words[1:], " "),
		"25 words":       good + " abandon",
		"unknown word":   strings.Replace(good, "abandon", "abandn", 1),
		"wrong checksum": strings.TrimSuffix(good, "art") + "ability",
		"swapped":        strings.Join(swapped, " "),
		"comma":          strings.Replace(good, " ", ", ", 1),
		"too long":       good + strings.Repeat(" ", MaxPhrase),
	} {
		got, err := checkPhrase(text)
		if !errors.Is(err, ErrPhrase) || got != "" {
			t.Errorf("%s: %q, %v", name, got, err)
			continue
		}
		if strings.Contains(err.Error(), "aband") {
			t.Errorf("%s: the error repeats a word: %v", name, err)
		}
	}
}

func TestPhraseRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entropy := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "entropy")
		phrase := phraseOf(entropy)
		if got, err := checkPhrase(phrase); err != nil || got != phrase {
			t.Fatalf("%q read back as %q, %v", phrase, got, err)
		}
		words := strings.Fields(phrase)
		n := rapid.IntRange(0, 22).Draw(t, "word") // the last word holds the checksum
		other := rapid.SampledFrom(wordlist).Draw(t, "other")
		if other == words[n] {
			return
		}
		words[n] = other
		got, err := checkPhrase(strings.Join(words, " "))
		if err == nil && got == phrase {
			t.Fatal("another phrase was read as this one")
		}
	})
}
