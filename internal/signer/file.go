package signer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// The files of a signer's directory.
const (
	seedName    = "seed"
	journalName = "journal"
	newSuffix   = ".new"
	// operatorName is the socket of the operator.
	operatorName = "operator.sock"
)

// A home is a signer's directory, held by this process alone.
type home struct {
	dir  string
	held *os.File
}

// enter takes a directory, so that no other signer can. Where there is none it is made, or is ErrNoSeed.
func enter(dir string, create bool) (*home, error) {
	if dir == "" {
		return nil, errors.New("signer: no directory given")
	}
	if create {
		if err := makeDir(dir); err != nil {
			return nil, err
		}
	}
	held, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: no directory %s", ErrNoSeed, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open signer directory: %w", err)
	}
	if err := lock(held); err != nil {
		return nil, errors.Join(err, held.Close())
	}
	return &home{dir, held}, nil
}

// makeDir makes a directory and those above it, each durable in the one that holds it.
func makeDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	above := filepath.Dir(dir)
	if errors.Is(err, fs.ErrNotExist) && above != dir {
		if err := makeDir(above); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil {
		return fmt.Errorf("make signer directory: %w", err)
	}
	holder, err := os.Open(above)
	if err != nil {
		return fmt.Errorf("open %s: %w", above, err)
	}
	if err := errors.Join(holder.Sync(), holder.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", above, err)
	}
	return nil
}

// leave lets others in. Nothing of the directory may be written afterwards.
func (h *home) leave() error { return h.held.Close() }

func (h *home) path(name string) string { return filepath.Join(h.dir, name) }

// has tells whether there is such a file.
func (h *home) has(name string) (bool, error) {
	_, err := os.Lstat(h.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", name, err)
	}
	return true, nil
}

// readStart is the first bytes of a journal, as many as its start has, and the size of the whole.
func readStart(path string) (head []byte, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("open journal: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("look at journal: %w", err)
	}
	head = make([]byte, min(journalHead, info.Size()))
	if _, err := io.ReadFull(f, head); err != nil {
		return nil, 0, fmt.Errorf("read journal: %w", err)
	}
	return head, info.Size(), nil
}

// put makes a file appear whole or not at all, readable by its owner only, and durable: written under another name, synced,
// renamed, and the directory synced.
func (h *home) put(name string, data []byte) error {
	draft := h.path(name + newSuffix)
	if err := os.Remove(draft); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove unfinished %s: %w", name, err)
	}
	f, err := os.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.Rename(draft, h.path(name)); err != nil {
		return fmt.Errorf("name %s: %w", name, err)
	}
	if err := h.held.Sync(); err != nil {
		return fmt.Errorf("sync signer directory: %w", err)
	}
	return nil
}
