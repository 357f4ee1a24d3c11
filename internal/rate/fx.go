package rate

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// FX tells how many KRW one USD costs, for comparing KRW prices with USD prices. It never prices anything.
type FX interface {
	Name() string
	KRWPerUSD(ctx context.Context) (Quote, error)
}

// FixedFX is an exchange rate that the operator wrote down at a time. It is good for MaxFXAge.
func FixedFX(text string, at time.Time) (FX, error) {
	q, err := NewQuote(text, at)
	if err != nil {
		return nil, fmt.Errorf("set up exchange rate: %w", err)
	}
	return fixedFX{q}, nil
}

type fixedFX struct{ quote Quote }

func (f fixedFX) Name() string                             { return "fixed" }
func (f fixedFX) KRWPerUSD(context.Context) (Quote, error) { return f.quote, nil }

// FileFX reads the exchange rate from a file that something else keeps up to date: one decimal number, true at the time
// that the file was changed.
func FileFX(path string) FX { return fileFX{path} }

type fileFX struct{ path string }

func (f fileFX) Name() string { return "file " + f.path }

func (f fileFX) KRWPerUSD(context.Context) (q Quote, err error) {
	file, err := os.Open(f.path)
	if err != nil {
		return Quote{}, fmt.Errorf("read exchange rate: %w", err)
	}
	defer func() {
		if closing := file.Close(); err == nil && closing != nil {
			err = fmt.Errorf("read exchange rate: %w", closing)
		}
	}()
	info, err := file.Stat()
	if err != nil {
		return Quote{}, fmt.Errorf("read exchange rate: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(file, MaxNumber+2))
	if err != nil {
		return Quote{}, fmt.Errorf("read exchange rate: %w", err)
	}
	return NewQuote(strings.TrimSpace(string(text)), info.ModTime())
}
