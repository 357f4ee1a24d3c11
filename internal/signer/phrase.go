package signer

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrPhrase: the recovery phrase is not one: a word is unknown, missing or out of place.
var ErrPhrase = errors.New("signer: not a recovery phrase")

// english is the list of BIP-39, one word a line, sorted.
//
//go:embed english.txt
var english string

var wordlist = strings.Fields(english)

const (
	wordBits    = 11
	phraseWords = 24 // 256 bits of entropy and 8 of checksum
	seedSize    = 64 // what BIP-39 makes of a phrase, and BIP-32 starts from
	seedRounds  = 2048
)

// phraseOf writes entropy of 16, 20, 24, 28 or 32 bytes as words (BIP-39, "Generating the mnemonic").
func phraseOf(entropy []byte) string {
	sum := sha256.Sum256(entropy)
	bits := append(slices.Clone(entropy), sum[0])
	defer clear(bits)
	words := make([]string, 0, phraseWords)
	for n := range (len(entropy)*8 + len(entropy)/4) / wordBits {
		index := 0
		for b := n * wordBits; b < (n+1)*wordBits; b++ {
			index = index<<1 | int(bits[b/8]>>(7-b%8)&1)
		}
		words = append(words, wordlist[index])
	}
	return strings.Join(words, " ")
}

// checkPhrase reads a phrase and gives it in normal form: lower case, single spaces. The error never repeats a word.
func checkPhrase(text string) (string, error) {
	if len(text) > MaxPhrase {
		return "", fmt.Errorf("%w: longer than %d bytes", ErrPhrase, MaxPhrase)
	}
	words := strings.Fields(strings.ToLower(text))
	if n := len(words); n < 12 || n > phraseWords || n%3 != 0 {
		return "", fmt.Errorf("%w: it has %d words", ErrPhrase, n)
	}
	bits := make([]byte, (len(words)*wordBits+7)/8)
	defer clear(bits)
	for n, word := range words {
		index, ok := slices.BinarySearch(wordlist, word)
		if !ok {
			return "", fmt.Errorf("%w: word %d is not in the English list of BIP-39", ErrPhrase, n+1)
		}
		for b := range wordBits {
			at := n*wordBits + b
			bits[at/8] |= byte(index>>(wordBits-1-b)&1) << (7 - at%8)
		}
	}
	size := len(words) * wordBits * 32 / 33 / 8
	sum := sha256.Sum256(bits[:size])
	mask := byte(0xff) << (8 - size/4)
	if bits[size] != sum[0]&mask {
		return "", fmt.Errorf("%w: the checksum differs, so a word is wrong or out of place", ErrPhrase)
	}
	return strings.Join(words, " "), nil
}

// seedOf makes the 64 bytes that BIP-32 starts from (BIP-39, "From mnemonic to seed"). PIPE uses no extra word.
func seedOf(phrase, extra string) ([]byte, error) {
	seed, err := pbkdf2.Key(sha512.New, phrase, []byte("mnemonic"+extra), seedRounds, seedSize)
	if err != nil {
		return nil, fmt.Errorf("make seed from phrase: %w", err)
	}
	return seed, nil
}
