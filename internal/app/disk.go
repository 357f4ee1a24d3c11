package app

import (
	"fmt"
	"syscall"
)

// freeMiB is how much space is free where the data directory lies.
func (c Config) freeMiB() (int64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(c.Data, &fs); err != nil {
		return 0, fmt.Errorf("look at the disk of %s: %w", c.Data, err)
	}
	return int64(fs.Bavail * uint64(fs.Bsize) >> 20), nil
}

// room tells whether new invoices may be taken. A disk that cannot be looked at stops nothing: a write that fails will.
func (a *App) room() bool {
	free, err := a.Config.freeMiB()
	if err != nil {
		a.log.Warn("free space is not known", "error", err)
		return true
	}
	return free >= a.Config.DiskFloor
}
