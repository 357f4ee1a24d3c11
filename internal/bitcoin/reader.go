package bitcoin

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// ErrPruned: the node has thrown the block's data away. The text says what to do.
var ErrPruned = errors.New("bitcoin: node has pruned the block: give an endpoint that still has it, or set prune=0 (or a larger prune=) and start bitcoind once with -reindex")

// maxMoney is the most satoshi that can exist.
const maxMoney = 21_000_000 * 100_000_000

// Options say which node is read and how.
type Options struct {
	Network money.Network // "bitcoin/mainnet", "bitcoin/testnet4", "bitcoin/signet" or "bitcoin/regtest"
	URL     string        // http://user:password@host:port
	// CookieFile is the path of bitcoind's .cookie, instead of user and password.
	CookieFile string
	// MaxTipAge is the age of the tip's time stamp from which the node counts as blind; 0 is never. It is never on regtest.
	MaxTipAge time.Duration
	// Fallback is what a Builder pays where the node has no fee estimate, in satoshi per 1,000 virtual bytes, for Check to tell.
	Fallback money.Amount
	Now      func() time.Time // nil for time.Now
	Client   *http.Client     // nil for one that follows no redirect, uses no proxy and keeps few connections
}

// A Reader reads Bitcoin from one node: it implements chain.Reader. Nothing is asked of the node before the first call.
type Reader struct {
	net    network
	node   *node
	maxAge time.Duration
	now    func() time.Time

	fallback money.Amount

	pending pool
	greeted atomic.Uint64 // the node's failures when its network was checked, plus one

	mu      sync.Mutex        // owns trusted
	trusted map[string]header // a few headers by hash, to compare their children's difficulty with
}

var _ chain.Reader = (*Reader)(nil)

// Open makes a reader. It does not dial.
func Open(o Options) (*Reader, error) {
	net, err := networkOf(o.Network)
	if err != nil {
		return nil, err
	}
	n, err := newNode(o)
	if err != nil {
		return nil, err
	}
	r := &Reader{net: net, node: n, maxAge: o.MaxTipAge, fallback: o.Fallback, now: o.Now, trusted: map[string]header{}}
	if r.now == nil {
		r.now = time.Now
	}
	if chain.IsDev(o.Network) {
		r.maxAge = 0
	}
	r.pending.known = map[string]pendingTx{}
	return r, nil
}

// chainInfo is what getblockchaininfo says that PIPE uses.
type chainInfo struct {
	Chain         string `json:"chain"`
	Blocks        uint64 `json:"blocks"`
	Headers       uint64 `json:"headers"`
	BestBlockHash string `json:"bestblockhash"`
	Syncing       bool   `json:"initialblockdownload"`
	Pruned        bool   `json:"pruned"`
	PruneHeight   uint64 `json:"pruneheight"`
}

// info asks what chain the node is on. It is the check of the network by name.
func (r *Reader) info(ctx context.Context) (chainInfo, error) {
	var info chainInfo
	if err := r.node.call(ctx, &info, "getblockchaininfo"); err != nil {
		return chainInfo{}, blind(err)
	}
	if info.Chain != r.net.core {
		return chainInfo{}, fmt.Errorf("node is on chain %q, not %q: %w", clip(info.Chain), r.net.core, chain.ErrNetwork)
	}
	return info, nil
}

// greet checks name and genesis of the node's chain before anything else it says counts: at first use, and again
// whenever a call failed on the way.
func (r *Reader) greet(ctx context.Context) error {
	failures := r.node.failures.Load()
	if r.greeted.Load() == failures+1 {
		return nil
	}
	if _, err := r.info(ctx); err != nil {
		return err
	}
	var genesis string
	if err := r.node.call(ctx, &genesis, "getblockhash", 0); err != nil {
		return blind(err)
	}
	if genesis != r.net.genesis {
		return fmt.Errorf("node's first block is %s, not %s: %w", clip(genesis), r.net.genesis, chain.ErrNetwork)
	}
	r.greeted.Store(failures + 1)
	return nil
}

// Head implements chain.Reader. Bitcoin calls nothing final: Final is 0.
func (r *Reader) Head(ctx context.Context) (chain.Head, error) {
	if err := r.greet(ctx); err != nil {
		return chain.Head{}, err
	}
	info, err := r.info(ctx)
	if err != nil {
		return chain.Head{}, err
	}
	h, err := r.header(ctx, info.BestBlockHash)
	if err != nil {
		return chain.Head{}, fmt.Errorf("read tip: %w", err)
	}
	if dev := chain.IsDev(r.net.name); !dev && info.Syncing {
		return chain.Head{}, fmt.Errorf("node is at block %d of %d, still syncing: %w", info.Blocks, info.Headers, chain.ErrBlind)
	}
	if age := r.now().Sub(h.time); r.maxAge > 0 && age > r.maxAge {
		return chain.Head{}, fmt.Errorf("tip %d is %s old: %w", info.Blocks, age.Round(time.Second), chain.ErrBlind)
	}
	return chain.Head{Tip: h.block(info.Blocks)}, nil
}

// BlockAt implements chain.Reader.
func (r *Reader) BlockAt(ctx context.Context, height uint64) (chain.Block, error) {
	if err := r.greet(ctx); err != nil {
		return chain.Block{}, err
	}
	hash, err := r.hashAt(ctx, height)
	if err != nil {
		return chain.Block{}, err
	}
	h, err := r.header(ctx, hash)
	if err != nil {
		return chain.Block{}, fmt.Errorf("read block %d: %w", height, err)
	}
	return h.block(height), nil
}

// hashAt asks for the hash at a height of the best chain.
func (r *Reader) hashAt(ctx context.Context, height uint64) (string, error) {
	if height > math.MaxInt32 { // Core's own type for heights; it calls more than that malformed
		return "", fmt.Errorf("height %d: %w", height, chain.ErrNoBlock)
	}
	var hash string
	err := r.node.call(ctx, &hash, "getblockhash", height)
	switch {
	case hasCode(err, codeOutOfRange):
		return "", fmt.Errorf("height %d: %w", height, chain.ErrNoBlock)
	case err != nil:
		return "", blind(err)
	case len(hash) != 64:
		return "", fmt.Errorf("getblockhash: %w", malformed(errors.New("no hash")))
	}
	return hash, nil
}

// header fetches a header by hash; that it is this one is computed.
func (r *Reader) header(ctx context.Context, hash string) (header, error) {
	r.mu.Lock()
	h, known := r.trusted[hash]
	r.mu.Unlock()
	if known {
		return h, nil
	}
	var text string
	err := r.node.call(ctx, &text, "getblockheader", hash, false)
	switch {
	case hasCode(err, codeNotFound):
		return header{}, fmt.Errorf("header %s: %w", clip(hash), chain.ErrGone)
	case err != nil:
		return header{}, blind(err)
	}
	raw, err := hex.DecodeString(text)
	if err == nil && len(raw) != headerSize {
		err = fmt.Errorf("a header has %d bytes, got %d", headerSize, len(raw))
	}
	if err == nil {
		h, err = parseHeader(r.net, raw)
	}
	if err == nil && h.hash != hash {
		err = fmt.Errorf("got the header of %s", h.hash)
	}
	if err != nil {
		return header{}, fmt.Errorf("header %s: %w", clip(hash), malformed(err))
	}
	r.trust(h)
	return h, nil
}

// trust remembers a header whose hash and work were computed.
func (r *Reader) trust(h header) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for old := range r.trusted {
		if len(r.trusted) < maxTrustedHeaders {
			break
		}
		delete(r.trusted, old)
	}
	r.trusted[h.hash] = h
}

// Scan implements chain.Reader. The block's hash, work, difficulty, parent and merkle root are computed from its bytes,
// and that it is on the best chain is asked after it was read.
func (r *Reader) Scan(ctx context.Context, b chain.Block, w chain.Watch) (chain.Found, error) {
	if err := r.greet(ctx); err != nil {
		return chain.Found{}, err
	}
	raw, err := r.node.callHex(ctx, "getblock", b.Hash, 0)
	if err != nil {
		return chain.Found{}, r.noBlock(ctx, b, err)
	}
	h, txs, err := r.open(ctx, b, raw)
	if err != nil {
		return chain.Found{}, err
	}
	switch hash, err := r.hashAt(ctx, b.Height); {
	case errors.Is(err, chain.ErrNoBlock) || err == nil && hash != b.Hash:
		return chain.Found{}, fmt.Errorf("block %s is not on the best chain: %w", b.Hash, chain.ErrGone)
	case err != nil:
		return chain.Found{}, err
	}
	r.trust(h)
	return chain.Found{Credits: match(r.net, txs, b.Height, w), Uses: uses(txs, w.Held)}, nil
}

// open checks a block's bytes against what is known of it and decodes them. What does not fit is chain.ErrBlind: no
// credit of a block that cannot be read, and no expiry while there is one.
func (r *Reader) open(ctx context.Context, b chain.Block, raw []byte) (header, []txView, error) {
	h, err := parseHeader(r.net, raw)
	switch {
	case err != nil:
	case h.hash != b.Hash:
		err = fmt.Errorf("got block %s", h.hash)
	case h.parent != b.Parent:
		err = fmt.Errorf("its parent is %s, not %s", h.parent, b.Parent)
	}
	if err == nil && r.net.steady && b.Height > 0 {
		parent, err := r.header(ctx, h.parent)
		if err != nil {
			return header{}, nil, fmt.Errorf("read parent of %s: %w", b.Hash, err)
		}
		if err := h.follows(r.net, parent, b.Height); err != nil {
			return header{}, nil, fmt.Errorf("block %d: %w", b.Height, malformed(err))
		}
	}
	var txs []txView
	if err == nil {
		txs, err = decodeBlock(raw, h)
	}
	if err != nil {
		return header{}, nil, fmt.Errorf("block %d %s: %w", b.Height, b.Hash, malformed(err))
	}
	return h, txs, nil
}

// noBlock tells why a block's bytes are not to be had.
func (r *Reader) noBlock(ctx context.Context, b chain.Block, err error) error {
	switch {
	case hasCode(err, codeNotFound):
		return fmt.Errorf("block %s: %w", b.Hash, chain.ErrGone)
	case !hasCode(err, codeMisc):
		return blind(err)
	}
	info, err2 := r.info(ctx)
	switch {
	case err2 != nil:
		return err2
	case info.Pruned && b.Height < info.PruneHeight:
		return fmt.Errorf("block %d: %w: %w", b.Height, ErrPruned, chain.ErrBlind)
	}
	return fmt.Errorf("block %s is not at hand yet (%w): %w", b.Hash, err, chain.ErrGone)
}

// match finds the outputs to watched addresses.
func match(net network, txs []txView, height uint64, w chain.Watch) []chain.Credit {
	var found []chain.Credit
	tell := newTeller(net)
	for _, tx := range txs {
		each(tell, tx, func(address []byte, vout int, amount int64) {
			to := string(address)
			if !w.Has(to) {
				return
			}
			c := credit(tx.id, vout, to, amount)
			if tx.coinbase {
				c.Spendable = height + CoinbaseMaturity
			}
			found = append(found, c)
		})
	}
	return found
}

// uses finds the inputs that use up a ticket of ours. All tickets of a block are parts of one text, so that an input costs
// no memory of its own.
func uses(txs []txView, held func(chain.Ticket) bool) []chain.Use {
	if held == nil {
		return nil
	}
	inputs := 0
	for _, tx := range txs {
		inputs += tx.inputs
	}
	var text strings.Builder
	text.Grow(inputs * maxTicket)
	var found []chain.Use
	var buf [maxTicket]byte
	for _, tx := range txs {
		if tx.coinbase {
			continue
		}
		for point := range tx.points() {
			from := text.Len()
			text.Write(appendTicket(buf[:0], point)) //nolint:errcheck // a builder takes every write
			if t := chain.Ticket(text.String()[from:]); held(t) {
				found = append(found, chain.Use{Ticket: chain.Ticket(strings.Clone(string(t))), TxID: idText(tx.id)})
			}
		}
	}
	return found
}

// appendTicket writes an outpoint's 36 bytes as "txid:vout".
func appendTicket(to, point []byte) []byte {
	var id [32]byte
	copy(id[:], point)
	slices.Reverse(id[:])
	to = append(hex.AppendEncode(to, id[:]), ':')
	return strconv.AppendUint(to, uint64(binary.LittleEndian.Uint32(point[32:])), 10)
}

// each gives the outputs that pay an address something.
func each(tell *teller, tx txView, give func(address []byte, vout int, amount int64)) {
	vout := -1
	for amount, script := range tx.outputs() {
		vout++
		if address := tell.address(script); address != nil && amount > 0 && amount <= maxMoney {
			give(address, vout, amount)
		}
	}
}

func credit(id [32]byte, vout int, to string, amount int64) chain.Credit {
	txid := idText(id)
	return chain.Credit{Ref: fmt.Sprintf("%s:%d", txid, vout), To: to, TxID: txid, Amount: money.Of(money.BTC, amount)}
}

// Weigh implements chain.Reader: Bitcoin has no account balances.
func (r *Reader) Weigh(context.Context, chain.Block, []chain.Weighed) (chain.Found, error) {
	return chain.Found{}, nil
}

// blind makes a node's refusal of a call that every node answers a blindness.
func blind(err error) error {
	var refused *RPCError
	if errors.As(err, &refused) {
		return fmt.Errorf("%w: %w", chain.ErrBlind, err)
	}
	return err
}
