package rate

import (
	"encoding/json"
	"strings"

	"github.com/pipe-pg/pipe/internal/money"
)

// bitstamp reads GET /api/v2/ticker/btcusd/ (bitstamp.net/api, ticker): last a string, timestamp in seconds, as a string. The
// answer does not name the pair; the path does.
func bitstamp() *exchange {
	return &exchange{
		name: "bitstamp", currency: money.USD, base: "https://www.bitstamp.net",
		path:  func(coin money.Currency) string { return "/api/v2/ticker/" + strings.ToLower(string(coin)) + "usd/" },
		parse: parseBitstamp,
	}
}

func parseBitstamp(_ money.Currency, body []byte) (Quote, error) {
	var answer struct {
		Last      string      `json:"last"`
		Timestamp json.Number `json:"timestamp"`
	}
	if err := decode(body, &answer); err != nil {
		return Quote{}, err
	}
	at, err := seconds(answer.Timestamp)
	if err != nil {
		return Quote{}, err
	}
	return NewQuote(answer.Last, at)
}
