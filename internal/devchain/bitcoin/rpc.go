package bitcoin

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/chainhash/v2"
)

// Error codes of Bitcoin Core's rpc/protocol.h.
const (
	codeParse              = -32700
	codeInvalidRequest     = -32600
	codeMethodNotFound     = -32601
	codeInternal           = -32603
	codeMisc               = -1
	codeType               = -3
	codeInvalidAddress     = -5 // RPC_INVALID_ADDRESS_OR_KEY: also unknown blocks and transactions
	codeInvalidParameter   = -8
	codeDeserialization    = -22
	codeVerify             = -25
	codeVerifyRejected     = -26
	codeVerifyAlreadyInUTX = -27
)

// rpcError is the error member of an answer.
type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func internal(err error) *rpcError { return &rpcError{codeInternal, err.Error()} }

// method is one RPC: the names of its parameters in order, how many of them must be given, and what it does.
// Methods that change the chain run alone; the others run beside each other.
type method struct {
	names   []string
	needs   int
	changes bool
	run     func(*Chain, args) (any, *rpcError)
}

func methods() map[string]method {
	return map[string]method{
		"getblockchaininfo": {run: getBlockchainInfo},
		"getblockcount":     {run: getBlockCount},
		"getbestblockhash":  {run: getBestBlockHash},
		"getblockhash":      {names: []string{"height"}, needs: 1, run: getBlockHash},
		"getblockheader":    {names: []string{"blockhash", "verbose"}, needs: 1, run: getBlockHeader},
		"getblock":          {names: []string{"blockhash", "verbosity"}, needs: 1, run: getBlock},
		"getrawmempool":     {names: []string{"verbose", "mempool_sequence"}, run: getRawMempool},
		"getmempoolentry":   {names: []string{"txid"}, needs: 1, run: getMempoolEntry},
		"getmempoolinfo":    {run: getMempoolInfo},
		"getrawtransaction": {names: []string{"txid", "verbosity", "blockhash"}, needs: 1, run: getRawTransaction},
		"gettxout":          {names: []string{"txid", "n", "include_mempool"}, needs: 2, run: getTxOut},
		"testmempoolaccept": {names: []string{"rawtxs", "maxfeerate"}, needs: 1, changes: true, run: testMempoolAccept},
		"sendrawtransaction": {
			names: []string{"hexstring", "maxfeerate", "maxburnamount"}, needs: 1, changes: true, run: sendRawTransaction,
		},
		"scantxoutset":      {names: []string{"action", "scanobjects"}, needs: 1, run: scanTxOutSet},
		"estimatesmartfee":  {names: []string{"conf_target", "estimate_mode"}, needs: 1, run: estimateSmartFee},
		"getnetworkinfo":    {run: getNetworkInfo},
		"getindexinfo":      {names: []string{"index_name"}, run: getIndexInfo},
		"uptime":            {run: getUptime},
		"generatetoaddress": {names: []string{"nblocks", "address", "maxtries"}, needs: 2, changes: true, run: generateToAddress},
		"generateblock":     {names: []string{"output", "transactions", "submit"}, needs: 2, changes: true, run: generateBlock},
		"invalidateblock":   {names: []string{"blockhash"}, needs: 1, changes: true, run: invalidateBlock},
		"submitblock":       {names: []string{"hexdata", "dummy"}, needs: 1, changes: true, run: submitBlock},
	}
}

// args are a call's parameters in order, with their names; nil where not given.
type args struct {
	names  []string
	values []json.RawMessage
}

// arrange brings the parameters, given by position or by name, in order.
func (m method) arrange(params json.RawMessage) (args, *rpcError) {
	list := make([]json.RawMessage, len(m.names))
	switch {
	case len(params) == 0 || string(params) == "null":
	case params[0] == '[':
		var given []json.RawMessage
		if err := json.Unmarshal(params, &given); err != nil {
			return args{}, &rpcError{codeInvalidRequest, "Params must be an array or object"}
		}
		if len(given) > len(list) {
			return args{}, m.usage()
		}
		copy(list, given)
	case params[0] == '{':
		var given map[string]json.RawMessage
		if err := json.Unmarshal(params, &given); err != nil {
			return args{}, &rpcError{codeInvalidRequest, "Params must be an array or object"}
		}
		for i, name := range m.names {
			list[i] = given[name]
			delete(given, name)
		}
		for name := range given {
			return args{}, &rpcError{codeInvalidParameter, "Unknown named parameter " + name}
		}
	default:
		return args{}, &rpcError{codeInvalidRequest, "Params must be an array or object"}
	}
	for i := range list {
		if string(list[i]) == "null" {
			list[i] = nil
		}
		if i < m.needs && list[i] == nil {
			return args{}, m.usage()
		}
	}
	return args{m.names, list}, nil
}

// usage answers a call with the wrong number of parameters, as Bitcoin Core answers with the method's help.
func (m method) usage() *rpcError {
	return &rpcError{codeMisc, fmt.Sprintf("parameters: %s (%d required)", strings.Join(m.names, ", "), m.needs)}
}

// kind names a JSON value's type in Bitcoin Core's words.
func kind(raw json.RawMessage) string {
	switch raw[0] {
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "bool"
	case 'n':
		return "null"
	}
	return "number"
}

// nothing is the result of methods that answer null.
type nothing struct{}

func (nothing) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// wrongType is how Bitcoin Core says that a parameter has the wrong type.
const wrongType = `Wrong type passed:
{
    "Position %d (%s)": "JSON value of type %s is not of expected type %s"
}`

// given says whether parameter i was given.
func (a args) given(i int) bool { return a.values[i] != nil }

// read decodes parameter i into to, which keeps its value when the parameter is not given.
func (a args) read(i int, want string, to any) *rpcError {
	if !a.given(i) {
		return nil
	}
	if got := kind(a.values[i]); got != want {
		return &rpcError{codeType, fmt.Sprintf(wrongType, i+1, a.names[i], got, want)}
	}
	if err := json.Unmarshal(a.values[i], to); err != nil {
		return &rpcError{codeMisc, "JSON integer out of range"}
	}
	return nil
}

func (a args) text(i int) (string, *rpcError) {
	var text string
	err := a.read(i, "string", &text)
	return text, err
}

func (a args) integer(i int, otherwise int64) (int64, *rpcError) {
	err := a.read(i, "number", &otherwise)
	return otherwise, err
}

func (a args) flag(i int, otherwise bool) (bool, *rpcError) {
	err := a.read(i, "bool", &otherwise)
	return otherwise, err
}

// level reads a verbosity: a number, or a bool that means 0 or 1.
func (a args) level(i int, otherwise int64) (int64, *rpcError) {
	if !a.given(i) || kind(a.values[i]) != "bool" {
		return a.integer(i, otherwise)
	}
	if string(a.values[i]) == "true" {
		return 1, nil
	}
	return 0, nil
}

// hash reads a 32 byte hash, in the order in which hashes are printed.
func (a args) hash(i int, name string) (chainhash.Hash, *rpcError) {
	text, failure := a.text(i)
	if failure != nil {
		return chainhash.Hash{}, failure
	}
	if len(text) != chainhash.MaxHashStringSize {
		return chainhash.Hash{}, &rpcError{codeInvalidParameter,
			fmt.Sprintf("%s must be of length %d (not %d, for '%s')", name, chainhash.MaxHashStringSize, len(text), text)}
	}
	if _, err := hex.DecodeString(text); err != nil {
		return chainhash.Hash{}, &rpcError{codeInvalidParameter, fmt.Sprintf("%s must be hexadecimal string (not '%s')", name, text)}
	}
	hash, err := chainhash.NewHashFromStr(text)
	if err != nil {
		return chainhash.Hash{}, internal(err)
	}
	return *hash, nil
}

// btc is an amount in satoshi, printed in BTC with eight decimals.
type btc int64

func (b btc) MarshalJSON() ([]byte, error) {
	sign, n := "", int64(b)
	if n < 0 {
		sign, n = "-", -n
	}
	return fmt.Appendf(nil, "%s%d.%08d", sign, n/1e8, n%1e8), nil
}

// UnmarshalJSON reads a number or a string of BTC, exactly.
func (b *btc) UnmarshalJSON(raw []byte) error {
	text := strings.Trim(string(raw), `"`)
	whole, frac, _ := strings.Cut(text, ".")
	if len(frac) > 8 {
		return fmt.Errorf("amount %q has more than eight decimals", text)
	}
	var n int64
	for _, digit := range whole + frac + strings.Repeat("0", 8-len(frac)) {
		if digit < '0' || digit > '9' || n > 21e14 {
			return fmt.Errorf("amount %q is out of range", text)
		}
		n = n*10 + int64(digit-'0')
	}
	*b = btc(n)
	return nil
}

// amount reads an amount or a fee rate in BTC as satoshi.
func (a args) amount(i int, otherwise int64) (int64, *rpcError) {
	if !a.given(i) {
		return otherwise, nil
	}
	var b btc
	if k := kind(a.values[i]); k != "number" && k != "string" {
		return 0, &rpcError{codeType, "Amount is not a number or string"}
	}
	if err := json.Unmarshal(a.values[i], &b); err != nil {
		return 0, &rpcError{codeType, "Invalid amount"}
	}
	return int64(b), nil
}
