package engine

type Signer interface{ Release() }

type Pool struct{ Signer Signer }

type Desk struct {
	Signer Signer // want
}
