package engine

import (
	"testing"
	"time"
)

// TestTOTPVectors: the codes of RFC 6238, appendix B, for SHA-1. The appendix has eight digits; ours are their last six.
func TestTOTPVectors(t *testing.T) {
	secret := []byte("12345678901234567890")
	for at, code := range map[int64]string{
		59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130",
	} {
		if got := totpCode(secret, at/totpSeconds); got != code[2:] {
			t.Errorf("at %d: %s, want %s", at, got, code[2:])
		}
	}
}

// TestTOTPSkewAndReplay: one step either way counts, two do not, and a step that was used does not count again, nor one
// before it.
func TestTOTPSkewAndReplay(t *testing.T) {
	secret := []byte("12345678901234567890")
	now := time.Unix(1_700_000_010, 0)
	step := now.Unix() / totpSeconds
	for d, want := range map[int64]bool{-2: false, -1: true, 0: true, 1: true, 2: false} {
		if got := totpStep(secret, totpCode(secret, step+d), now, 0); (got == step+d) != want {
			t.Errorf("%+d steps: %d", d, got)
		}
		if got := totpStep(secret, totpCode(secret, step+d), now, step+d); got != 0 {
			t.Errorf("%+d steps again: %d", d, got)
		}
	}
	if totpStep(secret, totpCode(secret, step-1), now, step) != 0 {
		t.Error("a code before the last one counts")
	}
	code := totpCode(secret, step)
	if totpStep(secret, code[:3]+" "+code[3:], now, 0) != step {
		t.Error("a code with the space that apps show does not count")
	}
	for _, bad := range []string{"", "000", code + "0", "abcdef"} {
		if totpStep(secret, bad, now, 0) != 0 {
			t.Errorf("%q counts", bad)
		}
	}
}
