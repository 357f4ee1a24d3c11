package signer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"strconv"
	"time"
)

// Listen makes a unix socket of a mode, for a group where one is named. A socket that nobody listens on any more is
// replaced; anything else at that path is left alone and an error.
func Listen(ctx context.Context, path string, mode fs.FileMode, group string) (net.Listener, error) {
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for signer's callers: %w; does the directory exist, and may this user write there?", err)
	}
	if err := admit(path, mode, group); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// admit lets the group and mode in. Until then nobody but the owner could connect, as that takes the right to write.
func admit(path string, mode fs.FileMode, group string) error {
	if group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			return fmt.Errorf("let group use %s: %w", path, err)
		}
		id, err := strconv.Atoi(g.Gid)
		if err == nil {
			err = os.Chown(path, -1, id)
		}
		if err != nil {
			return fmt.Errorf("let group %s use %s: %w; is this user a member of the group?", group, path, err)
		}
	}
	if err := os.Chmod(path, mode); err != nil {
		return fmt.Errorf("set mode of %s: %w", path, err)
	}
	return nil
}

func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at signer's socket: %w", err)
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("signer's socket: %s is there already and is no socket; move it away", path)
	}
	c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(fmt.Errorf("signer's socket: somebody listens on %s already; stop that signer first", path), c.Close())
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove old signer's socket: %w", err)
	}
	return nil
}
