package rate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

// kraken reads GET /0/public/Ticker?pair=XBTUSD (docs.kraken.com/api, ticker information): c is the last trade, price first,
// as strings. The answer has no time. Its only key is the pair in Kraken's own spelling.
func kraken() *exchange {
	return &exchange{
		name: "kraken", currency: money.USD, base: "https://api.kraken.com",
		path:  func(coin money.Currency) string { return "/0/public/Ticker?pair=" + krakenPairs(coin)[0] },
		parse: parseKraken,
	}
}

// krakenPairs are the spellings of a coin in USD; the first is asked for.
func krakenPairs(coin money.Currency) []string {
	if coin == money.BTC {
		return []string{"XBTUSD", "XXBTZUSD", "BTCUSD"}
	}
	return []string{"ETHUSD", "XETHZUSD"}
}

func parseKraken(coin money.Currency, body []byte) (Quote, error) {
	var answer struct {
		Error  []string `json:"error"`
		Result map[string]struct {
			Last []string `json:"c"`
		} `json:"result"`
	}
	if err := decode(body, &answer); err != nil {
		return Quote{}, err
	}
	if len(answer.Error) > 0 {
		return Quote{}, errors.New(clip(strings.Join(answer.Error, ", ")))
	}
	if len(answer.Result) != 1 {
		return Quote{}, fmt.Errorf("it is about %d pairs", len(answer.Result))
	}
	for pair, ticker := range answer.Result {
		if !slices.Contains(krakenPairs(coin), pair) {
			return Quote{}, fmt.Errorf("it is about %s", clip(pair))
		}
		if len(ticker.Last) > 0 {
			return NewQuote(ticker.Last[0], time.Time{})
		}
	}
	return Quote{}, errors.New("there is no last trade")
}
