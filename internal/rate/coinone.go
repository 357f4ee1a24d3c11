package rate

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pipe-pg/pipe/internal/money"
)

// coinone reads GET /public/v2/ticker_new/KRW/BTC (docs.coinone.co.kr/reference, ticker): numbers as strings, timestamp in
// milliseconds.
func coinone() *exchange {
	return &exchange{
		name: "coinone", currency: money.KRW, base: "https://api.coinone.co.kr",
		path:  func(coin money.Currency) string { return "/public/v2/ticker_new/KRW/" + string(coin) },
		parse: parseCoinone,
	}
}

func parseCoinone(coin money.Currency, body []byte) (Quote, error) {
	var answer struct {
		Result  string `json:"result"`
		Tickers []struct {
			Quote     string      `json:"quote_currency"`
			Target    string      `json:"target_currency"`
			Last      string      `json:"last"`
			Timestamp json.Number `json:"timestamp"`
		} `json:"tickers"`
	}
	if err := decode(body, &answer); err != nil {
		return Quote{}, err
	}
	if answer.Result != "success" || len(answer.Tickers) != 1 {
		return Quote{}, fmt.Errorf("the result is %q with %d tickers", clip(answer.Result), len(answer.Tickers))
	}
	t := answer.Tickers[0]
	if !strings.EqualFold(t.Quote, string(money.KRW)) || !strings.EqualFold(t.Target, string(coin)) {
		return Quote{}, fmt.Errorf("it is about %s in %s", clip(t.Target), clip(t.Quote))
	}
	at, err := millis(t.Timestamp)
	if err != nil {
		return Quote{}, err
	}
	return NewQuote(t.Last, at)
}
