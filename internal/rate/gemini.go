package rate

import (
	"fmt"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

// gemini reads GET /v2/ticker/btcusd (docs.gemini.com/rest/market-data, ticker v2): close is the latest trade, a string. The
// answer names the pair and has no time; that of v1 is the end of a volume window, not of the price.
func gemini() *exchange {
	return &exchange{
		name: "gemini", currency: money.USD, base: "https://api.gemini.com",
		path:  func(coin money.Currency) string { return "/v2/ticker/" + strings.ToLower(string(coin)) + "usd" },
		parse: parseGemini,
	}
}

func parseGemini(coin money.Currency, body []byte) (Quote, error) {
	var answer struct {
		Symbol string `json:"symbol"`
		Close  string `json:"close"`
	}
	if err := decode(body, &answer); err != nil {
		return Quote{}, err
	}
	if !strings.EqualFold(answer.Symbol, string(coin)+"USD") {
		return Quote{}, fmt.Errorf("it is about %s", clip(answer.Symbol))
	}
	return NewQuote(answer.Close, time.Time{})
}
