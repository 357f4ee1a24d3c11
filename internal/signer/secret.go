package signer

import (
	"fmt"
	"io"
	"log/slog"
)

const covered = "[secret]"

// A Secret is a text that must not be seen: a passphrase or a recovery phrase. Printed, logged or encoded by any way of
// fmt, log/slog or encoding it reads "[secret]". The bytes are inside a function, where reflection does not reach, so that
// they stay covered in a private field too, where fmt cannot call methods.
type Secret struct{ text func(wipe bool) []byte }

// NewSecret covers a text.
func NewSecret(text string) Secret {
	b := []byte(text)
	return Secret{func(wipe bool) []byte {
		if wipe {
			clear(b)
			b = nil
		}
		return b
	}}
}

// Reveal is the text itself.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return string(s.text(false))
}

// Wipe overwrites the secret's own copy in all its copies, which are empty afterwards. What Reveal gave away before, and
// what the runtime copied, is not reached. It must not run beside other uses.
func (s Secret) Wipe() {
	if s.text != nil {
		s.text(true)
	}
}

// String, GoString, Format, LogValue, MarshalText and MarshalJSON cover the secret in every way of printing.
func (s Secret) String() string { return covered }

// GoString covers the secret; see String.
func (s Secret) GoString() string { return covered }

// LogValue covers the secret; see String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(covered) }

// MarshalText covers the secret; see String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(covered), nil }

// MarshalJSON covers the secret; see String.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + covered + `"`), nil }

// Format covers the secret under every verb; see String.
func (s Secret) Format(f fmt.State, _ rune) {
	if _, err := io.WriteString(f, covered); err != nil {
		panic(fmt.Sprintf("signer: printing to memory failed: %v", err)) // fmt.State never fails
	}
}
