package demo

import "github.com/pipe-pg/pipe/internal/signer"

func open() { signer.Open(signer.Options{}) } // want
