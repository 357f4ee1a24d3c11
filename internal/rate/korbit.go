package rate

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pipe-pg/pipe/internal/money"
)

// korbit reads GET /v2/tickers?symbol=btc_krw (docs.korbit.co.kr, REST tickers): close is the last price as a string,
// lastTradedAt the time of the last trade in milliseconds. Where nobody traded for a minute its price is stale.
func korbit() *exchange {
	return &exchange{
		name: "korbit", currency: money.KRW, base: "https://api.korbit.co.kr",
		path:  func(coin money.Currency) string { return "/v2/tickers?symbol=" + korbitSymbol(coin) },
		parse: parseKorbit,
	}
}

func korbitSymbol(coin money.Currency) string { return strings.ToLower(string(coin)) + "_krw" }

func parseKorbit(coin money.Currency, body []byte) (Quote, error) {
	var answer struct {
		Success bool `json:"success"`
		Data    []struct {
			Symbol string      `json:"symbol"`
			Close  string      `json:"close"`
			At     json.Number `json:"lastTradedAt"`
		} `json:"data"`
	}
	if err := decode(body, &answer); err != nil {
		return Quote{}, err
	}
	if !answer.Success || len(answer.Data) != 1 || answer.Data[0].Symbol != korbitSymbol(coin) {
		return Quote{}, fmt.Errorf("it is not about %s alone", korbitSymbol(coin))
	}
	at, err := millis(answer.Data[0].At)
	if err != nil {
		return Quote{}, err
	}
	return NewQuote(answer.Data[0].Close, at)
}
