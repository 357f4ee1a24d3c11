package app

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// A sealer encrypts secrets that the program must be able to read again, under one key (XChaCha20-Poly1305, a random
// nonce in front).
type sealer struct{ key []byte }

// openSealer takes the key from the configuration, or from its file in the data directory, which it makes at the first
// start: not for a database that has secrets already, as they are under another key.
func openSealer(c Config, first bool) (sealer, error) {
	text := c.SecretKey
	if text == "" {
		var err error
		if text, err = keyFile(filepath.Join(c.Data, "secret.key"), first); err != nil {
			return sealer{}, err
		}
	}
	key, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != chacha20poly1305.KeySize {
		return sealer{}, fmt.Errorf("PIPE_SECRET_KEY: want %d hex digits", 2*chacha20poly1305.KeySize)
	}
	return sealer{key}, nil
}

// keyFile reads the key, or makes it. The file appears whole or not at all: it is written beside and linked into place,
// so that of two processes that start at once one wins.
func keyFile(path string, first bool) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		return string(b), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read secret key: %w", err)
	}
	if !first {
		return "", fmt.Errorf("there is no %s, but the database has callback secrets under the key of another machine or "+
			"directory: copy that file here, or set PIPE_SECRET_KEY to what it holds", path)
	}
	key := make([]byte, chacha20poly1305.KeySize)
	if _, err := rand.Read(key); err != nil {
		return "", fmt.Errorf("make secret key: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".secret.key-*")
	if err != nil {
		return "", fmt.Errorf("make secret key: %w", err)
	}
	_, err = f.WriteString(hex.EncodeToString(key) + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		if err = os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		return "", fmt.Errorf("make secret key: %w", err)
	}
	b, err = os.ReadFile(path)
	return string(b), err
}

func (s sealer) Seal(clear []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(s.key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(clear)+aead.Overhead())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return aead.Seal(nonce, nonce, clear, nil), nil
}

func (s sealer) Open(sealed []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(s.key)
	if err != nil {
		return nil, err
	}
	if len(sealed) < aead.NonceSize() {
		return nil, errors.New("unseal: cut short")
	}
	clear, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], nil)
	if err != nil {
		return nil, fmt.Errorf("unseal: is this the PIPE_SECRET_KEY of this database? %w", err)
	}
	return clear, nil
}
