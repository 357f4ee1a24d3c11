package money

import (
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	good := []struct {
		c           Currency
		text, units string
		print       string
	}{
		{KRW, "10500", "10500", "10500"},
		{KRW, "10500.00", "10500", "10500"},
		{KRW, "0", "0", "0"},
		{USD, "12.34", "1234", "12.34"},
		{USD, "12.3", "1230", "12.3"},
		{USD, "12.30", "1230", "12.3"},
		{USD, "12", "1200", "12"},
		{USD, "0.01", "1", "0.01"},
		{USD, "0.010000000", "1", "0.01"},
		{USD, "0.00", "0", "0"},
		{BTC, "0.06673", "6673000", "0.06673"},
		{BTC, "20999999.9769", "2099999997690000", "20999999.9769"},
		{ETH, "0.000000000000000001", "1", "0.000000000000000001"},
		{ETH, "123456789.123456789123456789", "123456789123456789123456789", "123456789.123456789123456789"},
	}
	for _, c := range good {
		a, err := Parse(c.c, c.text)
		if err != nil || a.Units() != c.units || a.Text() != c.print || a.Currency() != c.c {
			t.Errorf("Parse(%s, %q) = %s (%s units), %v; want %s units, printed %s", c.c, c.text, a, a.Units(), err, c.units, c.print)
		}
	}
	bad := []string{
		"", "-1", "+1", "1e5", "1E5", "1e-2", "10.001", "0.001", "１０", "10．5", "NaN", "Inf", "0x10", "1_000", "1,000", "1,5", " 1", "1 ",
		"1\n", ".5", "5.", ".", "..", "1.2.3", "00", "01", "01.5", "1\x00", "٣", "१०", "1⁄2", "½", "0b1", "1.-5", "--1", "null", "true",
		strings.Repeat("9", MaxText+1), strings.Repeat("1", 1<<16), "1." + strings.Repeat("0", MaxText),
	}
	for _, text := range bad {
		if a, err := Parse(USD, text); err == nil {
			t.Errorf("Parse(USD, %.50q) = %s, want an error", text, a)
		} else if len(err.Error()) > 4*maxQuoted {
			t.Errorf("Parse(USD, %.50q): the error repeats too much: %d bytes", text, len(err.Error()))
		}
	}
	for _, text := range []string{"10500.5", "1.01"} {
		if a, err := Parse(KRW, text); err == nil {
			t.Errorf("Parse(KRW, %q) = %s, want an error", text, a)
		}
	}
	if _, err := Parse("EUR", "1"); err == nil {
		t.Error("an unknown currency was taken")
	}
}

func TestUnits(t *testing.T) {
	for _, text := range []string{"", "-", "+1", "1.0", "1e3", "--1", strings.Repeat("9", MaxUnitDigits+1), "１"} {
		if a, err := OfUnits(BTC, text); err == nil {
			t.Errorf("OfUnits(%q) = %s, want an error", text, a)
		}
	}
	if a, err := OfUnits(BTC, "-15"); err != nil || a.Cmp(Of(BTC, -15)) != 0 || a.Text() != "-0.00000015" {
		t.Errorf("OfUnits(-15) = %s, %v", a, err)
	}
}

func TestFixed(t *testing.T) {
	for _, c := range []struct {
		a    Amount
		n    int
		want string
	}{{Of(USD, 1230), 2, "12.30"}, {Of(USD, 1200), 2, "12.00"}, {Of(KRW, 5), 0, "5"}, {Of(BTC, 1), 2, "0.00000001"}, {Of(USD, -5), 2, "-0.05"}, {Amount{}, 2, "0"}} {
		if got := c.a.Fixed(c.n); got != c.want {
			t.Errorf("Fixed(%s, %d) = %q, want %q", c.a, c.n, got, c.want)
		}
	}
}

var all = []Currency{KRW, USD, BTC, ETH}

func drawAmount(t *rapid.T, c Currency, label string) Amount {
	n, _ := new(big.Int).SetString(rapid.StringMatching(`[0-9]{1,40}`).Draw(t, label), 10)
	return OfBig(c, n)
}

// Text and Units read back to the same amount, and sums behave as those of whole numbers do.
func TestAmountProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(all).Draw(t, "currency")
		a, b := drawAmount(t, c, "a"), drawAmount(t, c, "b")
		if back, err := Parse(c, a.Text()); err != nil || !back.Equal(a) {
			t.Fatalf("%s reads back as %s, %v", a, back, err)
		}
		if back, err := OfUnits(c, a.Sub(b).Units()); err != nil || !back.Equal(a.Sub(b)) {
			t.Fatalf("%s reads back as %s, %v", a.Sub(b).Units(), back, err)
		}
		if strings.ContainsAny(a.Text(), "eE+ ,") || strings.Contains(a.Text(), ".") && strings.HasSuffix(a.Text(), "0") {
			t.Fatalf("%q is not plain", a.Text())
		}
		if !a.Add(b).Sub(b).Equal(a) || !a.Add(b).Equal(b.Add(a)) || a.Add(b).Less(a) || !a.Neg().Neg().Equal(a) {
			t.Fatalf("sums of %s and %s do not hold", a, b)
		}
		if !a.Add(Amount{}).Equal(a) || !(Amount{}).Add(a).Equal(a) || !Sum(c).IsZero() || !Sum(c, a, b).Equal(a.Add(b)) {
			t.Fatal("the zero Amount is not neutral")
		}
		ppm := rapid.Int64Range(0, 1_000_000).Draw(t, "ppm")
		if part := a.PerMillion(ppm); part.Sign() < 0 || a.Less(part) {
			t.Fatalf("%d millionths of %s are %s", ppm, a, part)
		}
		units := a.Units()
		a.Big().SetInt64(7)
		if a.Units() != units {
			t.Fatal("an amount changed")
		}
	})
}

func TestMixingPanics(t *testing.T) {
	rate, err := ParseRate(BTC, KRW, "100")
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(){
		"add": func() { Of(BTC, 1).Add(Of(ETH, 1)) }, "cmp": func() { Of(KRW, 1).Cmp(Of(USD, 1)) },
		"due": func() { rate.Due(Of(USD, 1)) }, "worth": func() { rate.Worth(Of(ETH, 1)) }, "decimals": func() { Currency("X").Decimals() },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s of different currencies did not panic", name)
				}
			}()
			f()
		}()
	}
	if Of(BTC, 1).Equal(Of(ETH, 1)) {
		t.Error("1 BTC unit equals 1 ETH unit")
	}
}

func TestRateText(t *testing.T) {
	for _, text := range []string{"", "-1", "1e5", "0", "0.0", ".5", "5.", "1/3", "NaN", "１", strings.Repeat("1", MaxText+1)} {
		if r, err := ParseRate(BTC, KRW, text); err == nil {
			t.Errorf("ParseRate(%q) = %s, want an error", text, r)
		}
	}
	for _, text := range []string{"91234000", "64123.45", "0.000000000000000001"} {
		if r, err := ParseRate(BTC, USD, text); err != nil || r.Text() != text {
			t.Errorf("ParseRate(%q) = %s, %v", text, r, err)
		}
	}
	if _, err := NewRate(KRW, USD, big.NewRat(1, 1)); err == nil {
		t.Error("a rate of no coin was made")
	}
	if (Rate{}).Text() != "" || !(Rate{}).IsZero() {
		t.Error("the zero Rate is not none")
	}
}

func TestDue(t *testing.T) {
	for _, c := range []struct {
		coin, price Currency
		rate, cost  string
		want        string
	}{
		{BTC, KRW, "100000000", "100000", "0.001"},
		{BTC, KRW, "91234567", "10500", "0.00011509"},   // 0.000115087…
		{ETH, KRW, "157350.517", "10500", "0.06673001"}, // 0.06673000000374…
		{ETH, USD, "3", "1", "0.33333334"},              // rounded up to 1e-8, not to a wei
		{BTC, USD, "3", "0.01", "0.00333334"},           // up
		{BTC, USD, "99999999999", "0.01", "0.00000001"}, // never nothing
		{ETH, USD, "0.5", "10.02", "20.04"},
	} {
		rate, err := ParseRate(c.coin, c.price, c.rate)
		if err != nil {
			t.Fatal(err)
		}
		cost, err := Parse(c.price, c.cost)
		if err != nil {
			t.Fatal(err)
		}
		if got := rate.Due(cost).Text(); got != c.want {
			exact := new(big.Rat).Quo(ratOf(cost.Big(), c.price), rate.Value())
			t.Errorf("%s %s at %s are %s %s, want %s (exactly %s)", c.cost, c.price, c.rate, got, c.coin, c.want, exact.FloatString(20))
		}
	}
}

// ratOf is an amount in whole units, by a way that shares nothing with the package.
func ratOf(units *big.Int, c Currency) *big.Rat {
	r := new(big.Rat).SetInt(units)
	for range map[Currency]int{KRW: 0, USD: 2, BTC: 8, ETH: 18}[c] {
		r.Mul(r, big.NewRat(1, 10))
	}
	return r
}

// Due and Worth against plain rationals: Due is the least multiple of 1e-8 not below price/rate, Worth the greatest unit not
// above coins*rate, and what is due is worth the price.
func TestMoneyAgainstRationals(t *testing.T) {
	cases := 1_000_000
	if testing.Short() {
		cases = 20_000
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	grain := big.NewRat(1, 100_000_000)
	x, y := new(big.Rat), new(big.Rat)
	var price, rate big.Rat
	for range cases {
		coin, cur := []Currency{BTC, ETH}[rng.IntN(2)], []Currency{KRW, USD}[rng.IntN(2)]
		units := big.NewInt(1 + rng.Int64N(int64(1)<<(1+rng.IntN(50))))
		rate.SetFrac64(1+rng.Int64N(int64(1)<<(1+rng.IntN(60))), 1+rng.Int64N(int64(1)<<(1+rng.IntN(30))))
		r, err := NewRate(coin, cur, &rate)
		if err != nil {
			t.Fatal(err)
		}
		due := r.Due(OfBig(cur, units))
		price.SetInt(units)
		if cur == USD {
			price.Mul(&price, big.NewRat(1, 100))
		}
		one := big.NewRat(1, 100_000_000)
		if coin == ETH {
			one = big.NewRat(1, 1_000_000_000_000_000_000)
		}
		got := x.Mul(x.SetInt(due.Big()), one)
		if y.Quo(got, grain); !y.IsInt() {
			t.Fatalf("due %s is no multiple of 1e-8", due)
		}
		exact := y.Quo(&price, &rate)
		if got.Cmp(exact) < 0 || got.Sub(got, grain).Cmp(exact) >= 0 {
			t.Fatalf("due %s for %s at %s, exactly %s", due, price.FloatString(2), rate.String(), exact.FloatString(30))
		}
		worth := r.Worth(due)
		if worth.Cmp(OfBig(cur, units)) < 0 {
			t.Fatalf("%s is worth %s at %s, less than the price %s", due, worth, r, price.FloatString(2))
		}
		value := x.Mul(x.Mul(x.SetInt(due.Big()), one), &rate) // exactly
		if cur == USD {
			value.Mul(value, big.NewRat(100, 1))
		}
		low := y.SetInt(worth.Big())
		if low.Cmp(value) > 0 || value.Sub(value, low).Cmp(big.NewRat(1, 1)) >= 0 {
			t.Fatalf("%s is worth %s at %s", due, worth, r)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"10500", "12.34", "0.01", "1e5", "-1", "１０", "NaN", "", "00.1", "9999999999999999999999999999999999"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, c := range all {
			a, err := Parse(c, text)
			if err != nil {
				continue
			}
			if len(text) > MaxText || a.Sign() < 0 {
				t.Fatalf("Parse(%s, %q) = %s", c, text, a)
			}
			exact, ok := new(big.Rat).SetString(text)
			if !ok || exact.Cmp(ratOf(a.Big(), c)) != 0 {
				t.Fatalf("Parse(%s, %q) = %s", c, text, a)
			}
			if back, err := Parse(c, a.Text()); err != nil || !back.Equal(a) {
				t.Fatalf("%q reads back as %s, %v", a.Text(), back, err)
			}
		}
	})
}
