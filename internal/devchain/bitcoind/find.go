package bitcoind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// ErrNotFound says that there is no bitcoind on this machine; its text says how to get one.
var ErrNotFound = errors.New("no bitcoind found: set PIPE_BITCOIND, install Bitcoin Core, or run tools/bitcoind.sh")

// Find looks for a bitcoind that runs: the one that the environment variable PIPE_BITCOIND names, the one in PATH,
// the one that tools/bitcoind.sh made. ErrNotFound when there is none; a PIPE_BITCOIND that does not run is an error.
func Find(ctx context.Context) (string, error) {
	if path := os.Getenv("PIPE_BITCOIND"); path != "" {
		return path, runs(ctx, path)
	}
	if path, err := exec.LookPath("bitcoind"); err == nil && runs(ctx, path) == nil {
		return path, nil
	}
	dir := os.Getenv("PIPE_BITCOIND_CACHE")
	if dir == "" {
		cache := os.Getenv("XDG_CACHE_HOME")
		if cache == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", fmt.Errorf("%w (%w)", ErrNotFound, err)
			}
			cache = filepath.Join(home, ".cache")
		}
		dir = filepath.Join(cache, "pipe", "bitcoind")
	}
	path := filepath.Join(dir, "bin", "bitcoind")
	if err := runs(ctx, path); err != nil {
		return "", fmt.Errorf("%w (%w)", ErrNotFound, err)
	}
	return path, nil
}

func runs(ctx context.Context, path string) error {
	if err := exec.CommandContext(ctx, path, "--version").Run(); err != nil {
		return fmt.Errorf("run %s: %w", path, err)
	}
	return nil
}
