package app

import "github.com/pipe-pg/pipe/internal/signer"

type App struct{ s *signer.Signer }

func open() { signer.Open(signer.Options{}) }
