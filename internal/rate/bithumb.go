package rate

import "github.com/pipe-pg/pipe/internal/money"

// bithumb reads GET /v1/ticker?markets=KRW-BTC (apidocs.bithumb.com, current price): the form of Upbit.
func bithumb() *exchange {
	return &exchange{name: "bithumb", currency: money.KRW, base: "https://api.bithumb.com", path: krwMarketPath, parse: parseKRWMarket}
}
