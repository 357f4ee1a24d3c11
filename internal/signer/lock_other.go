//go:build !unix

package signer

import (
	"errors"
	"os"
)

// lock refuses: without a lock that ends with the process two signers could release one address.
func lock(*os.File) error {
	return errors.New("signer: this system has no file locks that PIPE knows; run it on Linux, macOS or a BSD")
}
