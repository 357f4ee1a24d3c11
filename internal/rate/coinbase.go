package rate

import (
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

// coinbase reads GET /products/BTC-USD/ticker of Coinbase Exchange (docs.cdp.coinbase.com/exchange, product ticker): price a
// string, time in RFC 3339. The answer does not name the pair; the path does.
func coinbase() *exchange {
	return &exchange{
		name: "coinbase", currency: money.USD, base: "https://api.exchange.coinbase.com",
		path:  func(coin money.Currency) string { return "/products/" + string(coin) + "-USD/ticker" },
		parse: parseCoinbase,
	}
}

func parseCoinbase(_ money.Currency, body []byte) (Quote, error) {
	var answer struct {
		Price string    `json:"price"`
		Time  time.Time `json:"time"`
	}
	if err := decode(body, &answer); err != nil {
		return Quote{}, err
	}
	return NewQuote(answer.Price, answer.Time)
}
