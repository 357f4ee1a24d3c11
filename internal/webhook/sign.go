package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The headers of a signed message (Standard Webhooks 1.0.0).
const (
	HeaderID        = "webhook-id"
	HeaderTimestamp = "webhook-timestamp"
	HeaderSignature = "webhook-signature"
)

const secretPrefix = "whsec_"

// NewSecret makes a signing secret of NewSecretSize random bytes.
func NewSecret() []byte {
	secret := make([]byte, NewSecretSize)
	rand.Read(secret) // never fails: it ends the program rather than give weak bytes
	return secret
}

// SecretText is the form of a secret that a shop gets: "whsec_" and base64 (Standard Webhooks 1.0.0).
func SecretText(secret []byte) string {
	return secretPrefix + base64.StdEncoding.EncodeToString(secret)
}

// ParseSecret reads a secret from its text form. The error never repeats the text.
func ParseSecret(text string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(text, secretPrefix)
	if !ok {
		return nil, fmt.Errorf("read webhook secret: it begins with %s", secretPrefix)
	}
	secret, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("read webhook secret: the rest is not base64")
	}
	if err := checkSecret(secret); err != nil {
		return nil, fmt.Errorf("read webhook secret: %w", err)
	}
	return secret, nil
}

// Sign is the value of the webhook-signature header: for each secret, in order, "v1," and the base64 of the HMAC-SHA256 of
// id, Unix seconds and body, joined by dots; two signatures are parted by a space. There are 1 to MaxSecrets secrets of
// MinSecret to MaxSecret bytes.
func Sign(id string, at time.Time, body []byte, secrets [][]byte) (string, error) {
	switch {
	case id == "" || strings.ContainsAny(id, ". \r\n"):
		return "", errors.New("sign message: an id is not empty and has no dots or white space")
	case len(secrets) == 0 || len(secrets) > MaxSecrets:
		return "", fmt.Errorf("sign message: there are 1 to %d secrets, not %d", MaxSecrets, len(secrets))
	}
	signatures := make([]string, 0, len(secrets))
	for _, secret := range secrets {
		if err := checkSecret(secret); err != nil {
			return "", fmt.Errorf("sign message: %w", err)
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(id + "." + timestamp(at) + "."))
		mac.Write(body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(signatures, " "), nil
}

func timestamp(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

func checkSecret(secret []byte) error {
	if len(secret) < MinSecret || len(secret) > MaxSecret {
		return fmt.Errorf("a secret has %d to %d bytes", MinSecret, MaxSecret)
	}
	return nil
}
