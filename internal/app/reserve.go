package app

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// A reserve is a file that keeps room on the disk for what must still be written when all else is full: what was signed and
// sent, and what came. It is given up when little is left, and made again when there is room.
type reserve struct {
	path        string
	size, floor int64 // MiB; size 0: none is kept
	free        func() (int64, error)
	log         *slog.Logger
}

func (a *App) newReserve() *reserve {
	return &reserve{filepath.Join(a.Config.Data, ReserveFile), a.Config.DiskReserve, a.Config.DiskFloor, a.Config.freeMiB, a.log}
}

// keep gives the reserve up, makes it, or leaves things as they are. It is made only where a good deal is left beside it, so that
// it is not made of the room that it just gave.
func (r *reserve) keep() error {
	free, err := r.free()
	if err != nil {
		return err
	}
	info, err := os.Stat(r.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look at the reserve: %w", err)
	}
	there := err == nil
	switch whole := there && info.Size() == r.size<<20; {
	case there && r.size == 0, there && free < max(r.size/ReserveLow, 1):
		if err := os.Remove(r.path); err != nil {
			return fmt.Errorf("give up the reserve: %w", err)
		}
		if r.size > 0 {
			r.log.Error("the disk is nearly full: its reserve was given up, so that what is open can still be written; make room", "free MiB", free, "reserve MiB", r.size)
		}
	case !whole && r.size > 0 && free >= max(r.floor, 2*r.size)+r.size:
		return r.make()
	}
	return nil
}

// make writes the file, of bytes that no file system can shorten. One that does not become whole is taken away.
func (r *reserve) make() (err error) {
	f, err := os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("make the reserve: %w", err)
	}
	_, err = io.CopyN(f, rand.Reader, r.size<<20)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("make the reserve: %w", errors.Join(err, os.Remove(r.path)))
	}
	return nil
}
