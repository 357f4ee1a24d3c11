package signer

import (
	"fmt"
	"os"
	"syscall"
)

// guardedMemory is memory of its own pages, locked against swapping where the limit of locked memory allows, and left out
// of dumps.
func guardedMemory(n int) ([]byte, error) {
	const dontDump = 16 // MADV_DONTDUMP
	page := os.Getpagesize()
	m, err := syscall.Mmap(-1, 0, (n+page-1)/page*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map memory: %w", err)
	}
	if syscall.Mlock(m) == nil && syscall.Madvise(m, dontDump) == nil {
		return m[:n:n], nil
	}
	return m[:n:n], nil // allowed is what the system allows
}

// freeGuarded gives guardedMemory back, after its owner cleared it.
func freeGuarded(m []byte) {
	if err := syscall.Munmap(m[:cap(m)]); err != nil {
		clear(m)
	}
}

// noDumps keeps this process's memory from being dumped or read by others of its user.
func noDumps() error {
	const setDumpable = 4 // PR_SET_DUMPABLE
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	if _, _, code := syscall.RawSyscall(syscall.SYS_PRCTL, setDumpable, 0, 0); code != 0 {
		return fmt.Errorf("forbid core dumps: %w", code)
	}
	return nil
}
