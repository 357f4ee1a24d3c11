package rate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

// A Source tells what coins cost at one place, in one currency. Quote ends with its context. Implementations may be asked
// by many goroutines at once.
type Source interface {
	Name() string
	Currency() money.Currency
	Quote(ctx context.Context, coin money.Currency) (Quote, error)
}

// A Quote is one price as a source gave it.
type Quote struct {
	Text  string    // the number as the source wrote it
	Value *big.Rat  // the same, exact; above zero
	At    time.Time // when it was true, zero where the source does not say
}

// NewQuote reads a price as a source wrote it: digits, a dot and more digits, an exponent of at most two digits. Zero,
// signs, NaN and everything else is refused.
func NewQuote(text string, at time.Time) (Quote, error) {
	value, err := exact(text)
	if err != nil {
		return Quote{}, err
	}
	return Quote{text, value, at}, nil
}

func exact(text string) (*big.Rat, error) {
	if len(text) > MaxNumber {
		return nil, fmt.Errorf("read price: a number of %d characters", len(text))
	}
	mantissa, exponent, scientific := strings.Cut(strings.ToLower(text), "e")
	whole, part, dot := strings.Cut(mantissa, ".")
	if whole == "" || dot && part == "" || strings.Trim(whole+part, "0123456789") != "" {
		return nil, fmt.Errorf("read price: %q is not a decimal number above zero", clip(text))
	}
	value, ok := new(big.Rat).SetString(mantissa)
	if !ok {
		return nil, fmt.Errorf("read price: %q is not a number", clip(text))
	}
	if scientific {
		power, err := strconv.ParseInt(exponent, 10, 8)
		if err != nil || power > maxExponent || power < -maxExponent {
			return nil, fmt.Errorf("read price: %q has an exponent out of range", clip(text))
		}
		scale := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(max(power, -power)), nil))
		if power < 0 {
			scale.Inv(scale)
		}
		value.Mul(value, scale)
	}
	if value.Sign() <= 0 {
		return nil, fmt.Errorf("read price: %q is not above zero", clip(text))
	}
	return value, nil
}

// An exchange is a Source over HTTP: one GET a quote, read by a parser of its own.
type exchange struct {
	name     string
	currency money.Currency
	base     string // scheme and host, without a slash at the end
	path     func(coin money.Currency) string
	parse    func(coin money.Currency, body []byte) (Quote, error)
	client   *http.Client
}

func (e *exchange) Name() string             { return e.name }
func (e *exchange) Currency() money.Currency { return e.currency }

func (e *exchange) Quote(ctx context.Context, coin money.Currency) (Quote, error) {
	if coin != money.BTC && coin != money.ETH {
		return Quote{}, fmt.Errorf("ask %s: it is not asked for %s", e.name, coin)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.base+e.path(coin), nil)
	if err != nil {
		return Quote{}, fmt.Errorf("ask %s: %w", e.name, err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "PIPE")
	res, err := e.client.Do(req)
	if err != nil {
		return Quote{}, fmt.Errorf("ask %s: %w", e.name, err)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxReply+1))
	err = errors.Join(err, res.Body.Close())
	switch {
	case res.StatusCode != http.StatusOK:
		return Quote{}, fmt.Errorf("ask %s: status %d", e.name, res.StatusCode)
	case err != nil:
		return Quote{}, fmt.Errorf("read answer of %s: %w", e.name, err)
	case len(body) > MaxReply:
		return Quote{}, fmt.Errorf("read answer of %s: longer than %d bytes", e.name, MaxReply)
	}
	q, err := e.parse(coin, body)
	if err != nil {
		return Quote{}, fmt.Errorf("read answer of %s: %w", e.name, err)
	}
	return q, nil
}

// Names are the sources that Open knows, in the order they are listed to people.
func Names() []string {
	return []string{"upbit", "bithumb", "coinone", "korbit", "coinbase", "kraken", "bitstamp", "gemini"}
}

// Open makes the named sources. bases replaces where a source is asked ("https://api.upbit.com" is upbit's own), by name.
func Open(names []string, bases map[string]string) ([]Source, error) {
	client := &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSHandshakeTimeout:    DefaultTimeout,
			MaxResponseHeaderBytes: MaxReply,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        3 * Every,
			ForceAttemptHTTP2:      true,
		},
		// A price comes from where it was asked, or not at all.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	makers := map[string]func() *exchange{
		"upbit": upbit, "bithumb": bithumb, "coinone": coinone, "korbit": korbit,
		"coinbase": coinbase, "kraken": kraken, "bitstamp": bitstamp, "gemini": gemini,
	}
	sources := make([]Source, 0, len(names))
	for _, name := range names {
		maker, known := makers[name]
		if !known {
			return nil, fmt.Errorf("set up rates: no source is called %q; there are %s", clip(name), strings.Join(Names(), ", "))
		}
		e := maker()
		e.client = client
		if base := bases[name]; base != "" {
			e.base = strings.TrimSuffix(base, "/")
		}
		sources = append(sources, e)
	}
	for name := range bases {
		if makers[name] == nil {
			return nil, fmt.Errorf("set up rates: no source is called %q; there are %s", clip(name), strings.Join(Names(), ", "))
		}
	}
	return sources, nil
}

// decode reads one JSON value with numbers as their text, and nothing behind it.
func decode(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%w in %q", err, clip(string(body)))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("more than one value in %q", clip(string(body)))
	}
	return nil
}

// millis reads Unix milliseconds, seconds reads Unix seconds; the zero time where there is none.
func millis(n json.Number) (time.Time, error) { return unix(n, time.UnixMilli) }

func seconds(n json.Number) (time.Time, error) {
	return unix(n, func(s int64) time.Time { return time.Unix(s, 0) })
}

func unix(n json.Number, at func(int64) time.Time) (time.Time, error) {
	if n == "" {
		return time.Time{}, nil
	}
	v, err := n.Int64()
	if err != nil || v <= 0 {
		return time.Time{}, fmt.Errorf("read time: %q is not a Unix time", clip(n.String()))
	}
	return at(v), nil
}

func clip(text string) string {
	if len(text) <= maxQuoted {
		return text
	}
	return strings.ToValidUTF8(text[:maxQuoted], "") + "…"
}
