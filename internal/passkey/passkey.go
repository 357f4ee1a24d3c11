// Package passkey checks passkeys (WebAuthn Level 2) for the engine.
package passkey

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/pipe-pg/pipe/internal/payment"
)

// A Verifier runs the ceremonies of one origin. Every passkey knows its user and verifies them itself, by finger, face or PIN:
// so it is two factors, and nobody types a name. It is safe for concurrent use.
type Verifier struct{ lib *webauthn.WebAuthn }

// Possible tells whether passkeys can be used at an origin: they are tied to a name, never to an IP address (WebAuthn, 5.1.2).
func Possible(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Hostname() == "" {
		return false
	}
	_, err = netip.ParseAddr(u.Hostname())
	return err != nil
}

// New makes the Verifier of an origin like https://admin.example.
func New(origin string) (*Verifier, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Hostname() == "" {
		return nil, fmt.Errorf("set up passkeys: %q is no origin", origin)
	}
	yes := true
	lib, err := webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: "PIPE", RPOrigins: []string{origin}, AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: &yes, UserVerification: protocol.VerificationRequired,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("set up passkeys: %w", err)
	}
	return &Verifier{lib}, nil
}

// person is a user as the library asks for one.
type person struct {
	payment.User
	keys []webauthn.Credential
}

func (p person) WebAuthnID() []byte                         { return []byte(p.ID) }
func (p person) WebAuthnName() string                       { return p.Email }
func (p person) WebAuthnDisplayName() string                { return p.Name }
func (p person) WebAuthnCredentials() []webauthn.Credential { return p.keys }

func personOf(u payment.User, keys []payment.Credential) (person, error) {
	p := person{User: u}
	for _, k := range keys {
		var c webauthn.Credential
		if err := json.Unmarshal(k.Data, &c); err != nil {
			return p, fmt.Errorf("read passkey: %w", err)
		}
		p.keys = append(p.keys, c)
	}
	return p, nil
}

// BeginAdd makes the options for the browser, and what FinishAdd needs of them. Authenticators that have one of keys refuse.
func (v *Verifier) BeginAdd(u payment.User, keys []payment.Credential) (options, session []byte, err error) {
	p, err := personOf(u, keys)
	if err != nil {
		return nil, nil, err
	}
	var known []protocol.CredentialDescriptor
	for _, k := range p.keys {
		known = append(known, k.Descriptor())
	}
	o, s, err := v.lib.BeginRegistration(p, webauthn.WithExclusions(known))
	if err != nil {
		return nil, nil, fmt.Errorf("begin passkey: %w", err)
	}
	return both(o.Response, s)
}

func both(options, session any) (o, s []byte, err error) {
	o, err1 := json.Marshal(options)
	s, err2 := json.Marshal(session)
	if err := errors.Join(err1, err2); err != nil {
		return nil, nil, fmt.Errorf("write ceremony: %w", err)
	}
	return o, s, nil
}

// FinishAdd checks the browser's answer. It answers the credential's id and what is to be kept of it.
func (v *Verifier) FinishAdd(u payment.User, session, answer []byte) (key, data []byte, err error) {
	p, err := personOf(u, nil)
	if err != nil {
		return nil, nil, err
	}
	var s webauthn.SessionData
	if err := json.Unmarshal(session, &s); err != nil {
		return nil, nil, fmt.Errorf("read ceremony: %w", err)
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return nil, nil, fmt.Errorf("read passkey: %w", err)
	}
	c, err := v.lib.CreateCredential(p, s, parsed)
	if err != nil {
		return nil, nil, fmt.Errorf("check passkey: %w", err)
	}
	data, err = json.Marshal(c)
	if err != nil {
		return nil, nil, fmt.Errorf("write passkey: %w", err)
	}
	return c.ID, data, nil
}

// BeginLogIn makes the options for the browser, which asks its user which passkey, and what FinishLogIn needs of them.
func (v *Verifier) BeginLogIn() (options, session []byte, err error) {
	o, s, err := v.lib.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return nil, nil, fmt.Errorf("begin log-in: %w", err)
	}
	return both(o.Response, s)
}

// FinishLogIn checks the browser's answer against the passkeys of whom it names; find knows them. It answers the credential's id
// and what is to be kept of it from now on. A counter that went back is an error: there is a copy of the key.
func (v *Verifier) FinishLogIn(
	session, answer []byte, find func(user payment.ID) (payment.User, []payment.Credential, error),
) (key, data []byte, err error) {
	var s webauthn.SessionData
	if err := json.Unmarshal(session, &s); err != nil {
		return nil, nil, fmt.Errorf("read ceremony: %w", err)
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return nil, nil, fmt.Errorf("read log-in: %w", err)
	}
	_, c, err := v.lib.ValidatePasskeyLogin(func(_, handle []byte) (webauthn.User, error) {
		u, keys, err := find(payment.ID(handle))
		if err != nil {
			return nil, err
		}
		return personOf(u, keys)
	}, s, parsed)
	if err != nil {
		return nil, nil, fmt.Errorf("check log-in: %w", err)
	}
	if c.Authenticator.CloneWarning {
		return nil, nil, errors.New("check log-in: the passkey's counter went back: there is a copy of it")
	}
	if data, err = json.Marshal(c); err != nil {
		return nil, nil, fmt.Errorf("write passkey: %w", err)
	}
	return c.ID, data, nil
}
