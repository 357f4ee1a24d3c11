package bitcoin

import (
	"encoding/binary"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// watchedMillion is a million watched P2WPKH addresses.
func watchedMillion(net network) chain.Watch {
	watched := make(map[string]bool, 1_000_000)
	tell := newTeller(net)
	script := make([]byte, 22)
	script[1] = 20
	for i := range 1_000_000 {
		binary.BigEndian.PutUint64(script[8:], uint64(i))
		watched[string(tell.address(script))] = true
	}
	return chain.Watch{Has: func(a string) bool { return watched[a] }}
}

// BenchmarkReaderScan compares a whole Scan of a block of 2.5 MB over HTTP with fetching the same answer alone.
func BenchmarkReaderScan(b *testing.B) {
	net := known(b, money.Network("bitcoin/regtest"))
	raw := bigBlock(b)
	h, err := parseHeader(net, raw)
	if err != nil {
		b.Fatal(err)
	}
	text := hex.EncodeToString(raw)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		call := string(body)
		_, id, _ := strings.Cut(call, `"id":"`)
		id, _, _ = strings.Cut(id, `"`)
		var result string
		switch {
		case strings.Contains(call, "getblockchaininfo"):
			result = `{"chain":"regtest"}`
		case strings.Contains(call, `"getblockhash","params":[0]`):
			result = `"` + net.genesis + `"`
		case strings.Contains(call, "getblockhash"):
			result = `"` + h.hash + `"`
		default:
			result = `"` + text + `"`
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(`{"result":,"error":null,"id":""}`)+len(result)+len(id)))
		io.WriteString(w, `{"result":`+result+`,"error":null,"id":"`+id+`"}`) //nolint:errcheck // the client sees it
	}))
	defer server.Close()
	r, err := Open(Options{Network: net.name, URL: server.URL})
	if err != nil {
		b.Fatal(err)
	}
	block := h.block(7)
	w := watchedMillion(net)
	b.Run("fetch", func(b *testing.B) {
		for b.Loop() {
			if _, err := r.node.post(b.Context(), r.node.request("getblock", []any{block.Hash, 0})); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode hex", func(b *testing.B) {
		for b.Loop() {
			if _, err := r.node.callHex(b.Context(), "getblock", block.Hash, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("scan", func(b *testing.B) {
		for b.Loop() {
			if _, err := r.Scan(b.Context(), block, w); err != nil {
				b.Fatal(err)
			}
		}
	})
}
