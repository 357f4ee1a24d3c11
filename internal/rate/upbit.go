package rate

import (
	"encoding/json"
	"fmt"

	"github.com/pipe-pg/pipe/internal/money"
)

// upbit reads GET /v1/ticker?markets=KRW-BTC (docs.upbit.com/kr/reference, current price of a pair): an array with one object,
// trade_price a number, timestamp in milliseconds.
func upbit() *exchange {
	return &exchange{name: "upbit", currency: money.KRW, base: "https://api.upbit.com", path: krwMarketPath, parse: parseKRWMarket}
}

func krwMarketPath(coin money.Currency) string { return "/v1/ticker?markets=KRW-" + string(coin) }

// parseKRWMarket reads the answer form that Upbit and Bithumb share.
func parseKRWMarket(coin money.Currency, body []byte) (Quote, error) {
	var answer []struct {
		Market    string      `json:"market"`
		Price     json.Number `json:"trade_price"`
		Timestamp json.Number `json:"timestamp"`
	}
	if err := decode(body, &answer); err != nil {
		return Quote{}, err
	}
	if len(answer) != 1 || answer[0].Market != "KRW-"+string(coin) {
		return Quote{}, fmt.Errorf("it is not about KRW-%s alone", coin)
	}
	at, err := millis(answer[0].Timestamp)
	if err != nil {
		return Quote{}, err
	}
	return NewQuote(answer[0].Price.String(), at)
}
