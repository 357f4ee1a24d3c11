package rate

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

// recorded are answers in the form that each exchange's public documentation shows, with the question that they answer.
var recorded = []struct {
	source string
	coin   money.Currency
	path   string // as asked, with the query
	file   string
	text   string
	rate   string
	at     time.Time
}{
	{"upbit", money.BTC, "/v1/ticker?markets=KRW-BTC", "upbit_btc.json", "148601000", "148601000", time.UnixMilli(1751606040465)},
	{"upbit", money.ETH, "/v1/ticker?markets=KRW-ETH", "upbit_eth.json", "3524000.0", "3524000", time.UnixMilli(1751606040465)},
	{"bithumb", money.BTC, "/v1/ticker?markets=KRW-BTC", "bithumb_btc.json", "76261000", "76261000", time.UnixMilli(1725429942018)},
	{"coinone", money.BTC, "/public/v2/ticker_new/KRW/BTC", "coinone_btc.json", "3833000.0", "3833000", time.UnixMilli(1499341142000)},
	{"korbit", money.BTC, "/v2/tickers?symbol=btc_krw", "korbit_btc.json", "77136000", "77136000", time.UnixMilli(1725525721041)},
	{"coinbase", money.BTC, "/products/BTC-USD/ticker", "coinbase_btc.json", "6268.48", "6268.48", time.UnixMicro(1584663777833897)},
	{"kraken", money.BTC, "/0/public/Ticker?pair=XBTUSD", "kraken_btc.json", "30303.20000", "30303.2", time.Time{}},
	{"kraken", money.ETH, "/0/public/Ticker?pair=ETHUSD", "kraken_eth.json", "2500.05000", "2500.05", time.Time{}},
	{"bitstamp", money.BTC, "/api/v2/ticker/btcusd/", "bitstamp_btc.json", "2211.00", "2211", time.Unix(1643640186, 0)},
	{"gemini", money.BTC, "/v2/ticker/btcusd", "gemini_btc.json", "9347.66", "9347.66", time.Time{}},
}

func open(t *testing.T, name, base string) Source {
	t.Helper()
	sources, err := Open([]string{name}, map[string]string{name: base})
	if err != nil {
		t.Fatal(err)
	}
	return sources[0]
}

func TestSourcesReadRecordedAnswers(t *testing.T) {
	covered := map[string]bool{}
	for _, r := range recorded {
		covered[r.source] = true
		body, err := os.ReadFile(filepath.Join("testdata", r.file))
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.URL.String() != r.path || req.Method != "GET" {
				t.Errorf("%s: asked %s %s, documented is %s", r.source, req.Method, req.URL, r.path)
			}
			w.Write(body)
		}))
		s := open(t, r.source, srv.URL+"/")
		q, err := s.Quote(t.Context(), r.coin)
		srv.Close()
		if err != nil {
			t.Errorf("%s: %v", r.source, err)
			continue
		}
		rate, err := money.NewRate(r.coin, s.Currency(), q.Value)
		if err != nil || q.Text != r.text || rate.Text() != r.rate || !q.At.Equal(r.at) {
			t.Errorf("%s %s: got %q, %s, at %v, want %q, %s, at %v (%v)", r.source, r.coin, q.Text, rate.Text(), q.At, r.text, r.rate, r.at, err)
		}
		// The answer for one coin must never pass for the other, where the answer says which it is.
		other := money.ETH
		if r.coin == money.ETH {
			other = money.BTC
		}
		if r.source != "coinbase" && r.source != "bitstamp" {
			if q, err := s.(*exchange).parse(other, body); err == nil {
				t.Errorf("%s: the answer for %s was taken for %s: %v", r.source, r.coin, other, q)
			}
		}
	}
	for _, name := range Names() {
		if !covered[name] {
			t.Errorf("%s has no recorded answer", name)
		}
	}
}

func TestOpen(t *testing.T) {
	all, err := Open(Names(), nil)
	if err != nil || len(all) != len(Names()) {
		t.Fatalf("%d sources, %v", len(all), err)
	}
	for i, s := range all {
		if s.Name() != Names()[i] || !strings.HasPrefix(s.(*exchange).base, "https://") {
			t.Errorf("%s: %+v", Names()[i], s)
		}
		if _, err := s.Quote(t.Context(), money.KRW); err == nil {
			t.Errorf("%s was asked for KRW", s.Name())
		}
	}
	if _, err := Open([]string{"mtgox"}, nil); err == nil {
		t.Error("opened an unknown source")
	}
	if _, err := Open([]string{"upbit"}, map[string]string{"upbitt": "http://x"}); err == nil {
		t.Error("took a base of an unknown source")
	}
}

func TestExact(t *testing.T) {
	for text, want := range map[string]string{
		"1": "1", "0.5": "1/2", "148601000": "148601000", "1.48601E8": "148601000", "1e3": "1000", "1E+3": "1000", "25e-1": "5/2",
		"007": "7", "6268.48": "156712/25", "0.00000001": "1/100000000",
	} {
		if got, err := exact(text); err != nil || got.RatString() != want {
			t.Errorf("%q: got %v, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "0.0", "0e5", "-1", "+1", "NaN", "nan", "Inf", "Infinity", "1e", "e5", "1e99", "1e-99", "1e+", "1e5.5",
		"1.", ".5", "1,000", "1_000", "0x10", "1/2", " 1", "1 ", "１０", "1.2.3", "null", "true", strings.Repeat("9", MaxNumber+1), "1e129", "1e--1"} {
		if got, err := exact(text); err == nil {
			t.Errorf("%q: took it as %v", text, got)
		}
	}
}

// Sources that lie or break: none of their answers is a price, and none takes longer or more than it may.
func TestSourcesThatLie(t *testing.T) {
	good := map[string]string{}
	for _, r := range recorded {
		if r.coin == money.BTC {
			body, err := os.ReadFile(filepath.Join("testdata", r.file))
			if err != nil {
				t.Fatal(err)
			}
			good[r.source] = string(body)
		}
	}
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	replace := func(name, by string) string {
		text := good[name]
		for _, r := range recorded {
			if r.source == name && r.coin == money.BTC {
				text = strings.ReplaceAll(text, `"`+r.text+`"`, by)
				text = strings.ReplaceAll(text, `:`+r.text+`,`, `:`+by+`,`)
			}
		}
		return text
	}
	lies := map[string]func(name string, w http.ResponseWriter, r *http.Request){
		"HTML":      func(_ string, w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>maintenance</html>") },
		"empty":     func(string, http.ResponseWriter, *http.Request) {},
		"null":      func(_ string, w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "null") },
		"no object": func(_ string, w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") },
		"no array":  func(_ string, w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "[]") },
		"number":    func(_ string, w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "91234000") },
		"twice":     func(name string, w http.ResponseWriter, _ *http.Request) { io.WriteString(w, good[name]+good[name]) },
		"cut off": func(name string, w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, good[name][:len(good[name])/2])
		},
		"status 500": func(name string, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			io.WriteString(w, good[name])
		},
		"status 429": func(name string, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) },
		"redirect": func(name string, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/good", http.StatusFound)
		},
		"huge": func(name string, w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, strings.Repeat(" ", MaxReply)+good[name])
		},
		"endless": func(name string, w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat("[", 4096)); err != nil {
					return
				}
			}
		},
		"gzip bomb": func(name string, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			for range 64 {
				if _, err := z.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
			z.Close()
		},
		"slow": func(name string, w http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		},
		"dripping": func(name string, w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				io.WriteString(w, " ")
				w.(http.Flusher).Flush()
				select {
				case <-release:
				case <-time.After(10 * time.Millisecond):
				}
			}
		},
		"zero":      func(name string, w http.ResponseWriter, _ *http.Request) { io.WriteString(w, replace(name, "0")) },
		"zero text": func(name string, w http.ResponseWriter, _ *http.Request) { io.WriteString(w, replace(name, `"0.0"`)) },
		"negative":  func(name string, w http.ResponseWriter, _ *http.Request) { io.WriteString(w, replace(name, "-5")) },
		"minus":     func(name string, w http.ResponseWriter, _ *http.Request) { io.WriteString(w, replace(name, `"-5"`)) },
		"NaN":       func(name string, w http.ResponseWriter, _ *http.Request) { io.WriteString(w, replace(name, `"NaN"`)) },
		"missing":   func(name string, w http.ResponseWriter, _ *http.Request) { io.WriteString(w, replace(name, "null")) },
		"1e99":      func(name string, w http.ResponseWriter, _ *http.Request) { io.WriteString(w, replace(name, "1e99")) },
		"other pair": func(name string, w http.ResponseWriter, _ *http.Request) {
			swap := strings.NewReplacer("BTC", "XRP", "btc", "xrp", "XBT", "XRP", `"price"`, `"prize"`, `"last":"2211`, `"lost":"2211`)
			io.WriteString(w, swap.Replace(good[name]))
		},
	}
	for lie, serve := range lies {
		for _, name := range Names() {
			t.Run(lie+"/"+name, func(t *testing.T) {
				t.Parallel()
				srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/good" {
						io.WriteString(w, good[name])
						return
					}
					serve(name, w, r)
				}))
				defer srv.Close()
				ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
				defer cancel()
				started := time.Now()
				if q, err := open(t, name, srv.URL).Quote(ctx, money.BTC); err == nil {
					t.Errorf("took %q", q.Text)
				} else if len(err.Error()) > 1000 {
					t.Errorf("an error of %d bytes", len(err.Error()))
				}
				if took := time.Since(started); took > DefaultTimeout {
					t.Errorf("took %v", took)
				}
			})
		}
	}
}

// An answer that is too long is given up at once, not read until the timeout.
func TestSourceStopsReading(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, strings.Repeat(" ", MaxReply+1))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), DefaultTimeout)
	defer cancel()
	if _, err := open(t, "upbit", srv.URL).Quote(ctx, money.BTC); err == nil || !strings.Contains(err.Error(), "longer than") || ctx.Err() != nil {
		t.Errorf("got %v", err)
	}
}

func TestFX(t *testing.T) {
	path := filepath.Join(t.TempDir(), "krw")
	fx := FileFX(path)
	if _, err := fx.KRWPerUSD(t.Context()); err == nil {
		t.Error("read a file that is not there")
	}
	at := time.Now().Add(-time.Hour).Truncate(time.Second)
	if err := os.WriteFile(path, []byte("1390.50\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
	if q, err := fx.KRWPerUSD(t.Context()); err != nil || q.Value.FloatString(2) != "1390.50" || !q.At.Equal(at) {
		t.Errorf("got %v, %v", q, err)
	}
	for _, bad := range []string{"", "1,390", "-1", "1390 KRW", strings.Repeat("1", 100)} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if q, err := fx.KRWPerUSD(t.Context()); err == nil {
			t.Errorf("%q: got %v", bad, q)
		}
		if _, err := FixedFX(bad, at); err == nil {
			t.Errorf("%q: fixed", bad)
		}
	}
	if fmt.Sprint(fx.Name()) != "file "+path {
		t.Error(fx.Name())
	}
}
