package engine

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6238's default, which is what authenticator apps know
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// totpCode is the code of a time step (RFC 6238 with SHA-1, 30 seconds and 6 digits; RFC 4226, 5.3).
func totpCode(secret []byte, step int64) string {
	var msg [8]byte
	binary.BigEndian.PutUint64(msg[:], uint64(step))
	h := hmac.New(sha1.New, secret)
	h.Write(msg[:])
	sum := h.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[at:])&0x7fffffff)%1_000_000)
}

// totpStep finds the step that a code is of, around a time and above the last step that was used: a code works once. It
// answers 0 for a wrong code.
func totpStep(secret []byte, code string, now time.Time, used int64) int64 {
	code = strings.ReplaceAll(code, " ", "")
	step := now.Unix() / totpSeconds
	found := int64(0)
	for d := int64(-totpWindow); d <= totpWindow; d++ {
		same := subtle.ConstantTimeCompare([]byte(totpCode(secret, step+d)), []byte(code)) == 1
		if same && step+d > used {
			found = step + d
		}
	}
	return found
}

// A TOTPSetup is what an authenticator app is set up with.
type TOTPSetup struct {
	Secret string // base32, for typing
	URI    string // for the QR code (Google Authenticator's key URI format)
	Sealed []byte // goes with the form until the first code proves that the app has it
}

// NewTOTP makes a secret for an authenticator app. It counts for nothing before EnrolTOTP.
func (o *Office) NewTOTP(by By) (TOTPSetup, error) {
	secret := make([]byte, totpBytes)
	if _, err := rand.Read(secret); err != nil {
		return TOTPSetup{}, fmt.Errorf("make secret: %w", err)
	}
	sealed, err := o.Sealer.Seal(append([]byte(totpSeal+string(by.User.ID)), secret...))
	if err != nil {
		return TOTPSetup{}, fmt.Errorf("seal secret: %w", err)
	}
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
	host := strings.TrimPrefix(strings.TrimPrefix(o.URL, "https://"), "http://")
	v := url.Values{"secret": {text}, "issuer": {"PIPE " + host}}
	uri := "otpauth://totp/" + url.PathEscape("PIPE "+host+":"+by.User.Email) + "?" + strings.ReplaceAll(v.Encode(), "+", "%20")
	return TOTPSetup{text, uri, sealed}, nil
}

// totpSeal says what is sealed, so that nothing else that was sealed is taken for a secret.
const totpSeal = "totp:"

// newRecovery makes recovery codes and the hashes that are kept of them. Each has 80 random bits, so a plain hash is enough.
func newRecovery() (codes []string, hashes [][]byte, err error) {
	for range RecoveryCodes {
		b := make([]byte, 10)
		if _, err := rand.Read(b); err != nil {
			return nil, nil, fmt.Errorf("make recovery code: %w", err)
		}
		text := strings.ToLower(base32.StdEncoding.EncodeToString(b))
		code := text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:]
		codes, hashes = append(codes, code), append(hashes, hashRecovery(code))
	}
	return codes, hashes, nil
}

func hashRecovery(code string) []byte {
	code = strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(code))
	h := sha256.Sum256([]byte("recovery:" + code))
	return h[:]
}

// useRecovery takes a recovery code out of the hashes; ok is false where it is none of them.
func useRecovery(hashes [][]byte, code string) (left [][]byte, ok bool) {
	want := hashRecovery(code)
	for _, h := range hashes {
		if subtle.ConstantTimeCompare(h, want) == 1 && !ok {
			ok = true
			continue
		}
		left = append(left, h)
	}
	return left, ok
}
