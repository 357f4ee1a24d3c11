package engine

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/pipe-pg/pipe/internal/payment"
)

// A Hasher hashes passwords with argon2id (RFC 9106), a few at a time: each takes PasswordMemory. It is safe for concurrent
// use.
type Hasher struct{ slots chan struct{} }

// NewHasher makes a Hasher.
func NewHasher() *Hasher { return &Hasher{make(chan struct{}, PasswordsAtOnce)} }

// hashForm is the PHC string of this package's parameters.
const hashForm = "$argon2id$v=19$m=19456,t=2,p=1$"

// Hash hashes a password under a new salt.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("make salt: %w", err)
	}
	sum, err := h.sum(ctx, password, salt)
	if err != nil {
		return "", err
	}
	enc := base64.RawStdEncoding
	return hashForm + enc.EncodeToString(salt) + "$" + enc.EncodeToString(sum), nil
}

// Check tells whether a password has this hash. With a hash that it cannot read, "" too, it works as long and answers no: so
// time does not tell whether there is such a user.
func (h *Hasher) Check(ctx context.Context, password, hash string) (bool, error) {
	salt, want := make([]byte, 16), make([]byte, 32)
	known := false
	if rest, ok := strings.CutPrefix(hash, hashForm); ok {
		a, b, _ := strings.Cut(rest, "$")
		enc := base64.RawStdEncoding
		s, err1 := enc.DecodeString(a)
		w, err2 := enc.DecodeString(b)
		if err1 == nil && err2 == nil && len(s) == len(salt) && len(w) == len(want) {
			salt, want, known = s, w, true
		}
	}
	sum, err := h.sum(ctx, password, salt)
	return known && subtle.ConstantTimeCompare(sum, want) == 1, err
}

func (h *Hasher) sum(ctx context.Context, password string, salt []byte) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to hash: %w", ctx.Err())
	}
	if len(password) > MaxPassword { // no longer one was ever stored
		password = password[:MaxPassword]
	}
	return argon2.IDKey([]byte(password), salt, PasswordPasses, PasswordMemory, 1, 32), nil
}

// goodPassword refuses a password that is too short or too simple. Rules of composition do more harm than good (NIST SP
// 800-63B, 3.1.1.2).
func goodPassword(password, email string) error {
	bad := func(format string, args ...any) error {
		e := payment.Refuse(payment.Invalid, WordPassword, format, args...)
		e.Field = "password"
		return e
	}
	if !utf8.ValidString(password) || len(password) > MaxPassword {
		return bad("at most %d bytes", MaxPassword)
	}
	if utf8.RuneCountInString(password) < MinPassword {
		return bad("at least %d characters: a sentence is easy to remember", MinPassword)
	}
	different := map[rune]bool{}
	for _, r := range password {
		different[r] = true
	}
	local, _, _ := strings.Cut(email, "@")
	low := strings.ToLower(password)
	if len(different) < MinDifferent || low == strings.ToLower(email) || len(local) >= MinPassword && strings.Contains(low, local) {
		return bad("that is too easy to guess")
	}
	return nil
}
