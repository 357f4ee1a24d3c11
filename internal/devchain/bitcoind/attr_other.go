//go:build !linux

package bitcoind

import "syscall"

func processAttr() *syscall.SysProcAttr { return nil }
