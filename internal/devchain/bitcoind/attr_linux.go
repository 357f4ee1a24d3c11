package bitcoind

import "syscall"

// processAttr lets the node die with this process, however that ends.
func processAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
