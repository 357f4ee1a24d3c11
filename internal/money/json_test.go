package money_test

import (
	"encoding/json"
	"testing"

	"github.com/pipe-pg/pipe/internal/money"
)

func TestAmountAsJSON(t *testing.T) {
	for _, a := range []money.Amount{{}, money.Zero(money.BTC), money.Of(money.BTC, 1), money.Of(money.ETH, -5), money.Of(money.KRW, 10500)} {
		b, err := json.Marshal(map[string]money.Amount{"a": a})
		if err != nil {
			t.Fatal(err)
		}
		var back map[string]money.Amount
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		if got := back["a"]; got.Currency() != a.Currency() || got.Units() != a.Units() {
			t.Errorf("%s became %s by %s", a, got, b)
		}
	}
	for _, bad := range []string{`"BTC"`, `"DOGE:1"`, `"BTC:x"`, `12`, `"BTC:1.5"`, `{}`} {
		var a money.Amount
		if json.Unmarshal([]byte(bad), &a) == nil {
			t.Errorf("%s was read as %s", bad, a)
		}
	}
}
