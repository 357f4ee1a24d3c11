package bitcoind

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/pipe-pg/pipe/internal/devchain/bitcoin"
)

func (n *Node) newAddress(ctx context.Context) (string, error) {
	var text string
	err := n.call(ctx, "getnewaddress", []any{"", "bech32"}, &text)
	return text, err
}

// Mine mines blocks (1 to 10,000) with what is in the mempool and returns the new tip.
func (n *Node) Mine(ctx context.Context, blocks int) (height int64, hash string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mine(ctx, blocks)
}

func (n *Node) mine(ctx context.Context, blocks int) (int64, string, error) {
	if blocks < 1 || blocks > maxMineBlocks {
		return 0, "", fmt.Errorf("mine %d blocks: out of range", blocks)
	}
	own, err := n.newAddress(ctx)
	if err != nil {
		return 0, "", err
	}
	if err := n.call(ctx, "generatetoaddress", []any{blocks, own}, nil); err != nil {
		return 0, "", err
	}
	return n.where(ctx)
}

// where is the tip of the best chain.
func (n *Node) where(ctx context.Context) (int64, string, error) {
	var info struct {
		Blocks int64
		Hash   string `json:"bestblockhash"`
	}
	err := n.call(ctx, "getblockchaininfo", nil, &info)
	return info.Blocks, info.Hash, err
}

// generate mines one block with exactly the given transactions (raw, or txids of the mempool). Each block pays
// another address, so that no block of a new branch equals one that was invalidated.
func (n *Node) generate(ctx context.Context, txs []string) error {
	own, err := n.newAddress(ctx)
	if err != nil {
		return err
	}
	if txs == nil {
		txs = []string{}
	}
	return n.call(ctx, "generateblock", []any{own, txs}, nil)
}

// Reorg replaces the last depth blocks (1 to 100) by depth+1 new ones, by invalidateblock: for a moment the height is
// lower. The transactions of the replaced blocks are mined again at their old heights, except those in drop and what
// depends on them; the dropped ones also leave the mempool, for which the node is started again without them.
// Returns the new tip. bitcoin.ErrDepth, bitcoin.ErrUnknownTx.
func (n *Node) Reorg(ctx context.Context, depth int, drop []string) (height int64, hash string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	gone := map[string]bool{}
	for _, txid := range drop {
		if _, err := chainhash.NewHashFromStr(txid); err != nil || len(txid) != chainhash.MaxHashStringSize {
			return 0, "", fmt.Errorf("reorganise: %w: %q is not a txid", bitcoin.ErrUnknownTx, txid)
		}
		gone[txid] = true
	}
	if err := n.reorganise(ctx, depth, gone, nil); err != nil {
		return 0, "", fmt.Errorf("reorganise: %w", err)
	}
	if len(gone) > 0 {
		if err := n.purge(ctx, gone); err != nil {
			return 0, "", fmt.Errorf("drop transactions: %w", err)
		}
	}
	return n.where(ctx)
}

// reorganise is Reorg without the purge of the mempool; instead is mined in the first new block. gone grows by the
// transactions of the old blocks that can no longer be mined.
func (n *Node) reorganise(ctx context.Context, depth int, gone map[string]bool, instead *btcutil.Tx) error {
	height, hash, err := n.where(ctx)
	if err != nil {
		return err
	}
	if depth < 1 || depth > maxReorgDepth || int64(depth) > height {
		return fmt.Errorf("%w: %d at height %d", bitcoin.ErrDepth, depth, height)
	}
	old := make([]*btcutil.Block, depth)
	for i := depth - 1; i >= 0; i-- {
		if old[i], err = n.block(ctx, hash); err != nil {
			return err
		}
		hash = old[i].MsgBlock().Header.PrevBlock.String()
	}
	pending, err := n.pending(ctx)
	if err != nil {
		return err
	}
	branch, err := remaining(old, pending, gone, instead)
	if err != nil {
		return err
	}
	if err := n.call(ctx, "invalidateblock", []any{old[0].Hash().String()}, nil); err != nil {
		return err
	}
	for _, txs := range branch {
		if err := n.generate(ctx, txs); err != nil {
			return err
		}
	}
	return nil
}

// remaining lists what each new block carries over of the old ones, and one empty block more: all but coinbases,
// dropped transactions, what conflicts with instead, and what depends on any of these.
func remaining(old []*btcutil.Block, pending []string, gone map[string]bool, instead *btcutil.Tx) ([][]string, error) {
	spent := map[wire.OutPoint]bool{}
	branch := make([][]string, len(old)+1)
	if instead != nil {
		branch[0] = append(branch[0], encode(instead.MsgTx()))
		for _, in := range instead.MsgTx().TxIn {
			spent[in.PreviousOutPoint] = true
		}
	}
	known := map[string]bool{}
	for _, txid := range pending {
		known[txid] = true
	}
	lost := map[string]bool{}
	for i, block := range old {
		lost[block.Transactions()[0].Hash().String()] = true
		for _, tx := range block.Transactions()[1:] {
			txid := tx.Hash().String()
			known[txid] = true
			clash := gone[txid] || slices.ContainsFunc(tx.MsgTx().TxIn, func(in *wire.TxIn) bool {
				return spent[in.PreviousOutPoint] || lost[in.PreviousOutPoint.Hash.String()]
			})
			if clash {
				lost[txid] = true
				continue
			}
			branch[i] = append(branch[i], encode(tx.MsgTx()))
		}
	}
	for txid := range gone {
		if !known[txid] {
			return nil, fmt.Errorf("%w: %s is neither in the mempool nor in the last %d blocks", bitcoin.ErrUnknownTx, txid, len(old))
		}
	}
	for _, block := range old {
		for _, tx := range block.Transactions()[1:] {
			if txid := tx.Hash().String(); lost[txid] {
				gone[txid] = true
			}
		}
	}
	return branch, nil
}

func (n *Node) block(ctx context.Context, hash string) (*btcutil.Block, error) {
	var text string
	if err := n.call(ctx, "getblock", []any{hash, 0}, &text); err != nil {
		return nil, err
	}
	raw, err := hex.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("decode block: %w", err)
	}
	block, err := btcutil.NewBlockFromBytes(raw)
	if err != nil {
		return nil, fmt.Errorf("decode block: %w", err)
	}
	return block, nil
}

// pending lists the mempool's txids, parents before children.
func (n *Node) pending(ctx context.Context) ([]string, error) {
	var entries map[string]struct{ AncestorCount int }
	if err := n.call(ctx, "getrawmempool", []any{true}, &entries); err != nil {
		return nil, err
	}
	list := make([]string, 0, len(entries))
	for txid := range entries {
		list = append(list, txid)
	}
	slices.SortFunc(list, func(a, b string) int {
		return cmp.Or(cmp.Compare(entries[a].AncestorCount, entries[b].AncestorCount), cmp.Compare(a, b))
	})
	return list, nil
}

// purge takes transactions out of the mempool, with all that depend on them. A node has no call for that: it is
// stopped, its saved mempool deleted, and what is to stay is sent again.
func (n *Node) purge(ctx context.Context, gone map[string]bool) error {
	pending, err := n.pending(ctx)
	if err != nil {
		return err
	}
	var keep []string
	for _, txid := range pending {
		var raw string
		if err := n.call(ctx, "getrawtransaction", []any{txid}, &raw); err != nil {
			return err
		}
		tx, err := decode(raw)
		if err != nil {
			return err
		}
		if gone[txid] || slices.ContainsFunc(tx.MsgTx().TxIn, func(in *wire.TxIn) bool { return gone[in.PreviousOutPoint.Hash.String()] }) {
			gone[txid] = true
			continue
		}
		keep = append(keep, raw)
	}
	if len(keep) == len(pending) {
		return nil
	}
	if err := n.stop(ctx); err != nil {
		return err
	}
	saved := filepath.Join(n.opts.Dir, "regtest", "mempool.dat")
	if err := os.Remove(saved); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("delete saved mempool: %w", err)
	}
	if err := n.launch(ctx); err != nil {
		return err
	}
	for _, raw := range keep {
		if err := n.call(ctx, "sendrawtransaction", []any{raw, 0}, nil); err != nil {
			return err
		}
	}
	return n.abandon(ctx, gone)
}

// Evict takes a transaction out of the mempool, with all that spend its outputs. A node has no call for that: it is
// started again without them. bitcoin.ErrUnknownTx.
func (n *Node) Evict(ctx context.Context, txid string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	pending, err := n.pending(ctx)
	if err == nil && !slices.Contains(pending, txid) {
		err = fmt.Errorf("%w: %s is not in the mempool", bitcoin.ErrUnknownTx, txid)
	}
	if err == nil {
		err = n.purge(ctx, map[string]bool{txid: true})
	}
	if err != nil {
		return fmt.Errorf("evict: %w", err)
	}
	return nil
}

// abandon frees the wallet's coins that dropped transactions would have spent.
func (n *Node) abandon(ctx context.Context, gone map[string]bool) error {
	for txid := range gone {
		err := n.call(ctx, "abandontransaction", []any{txid}, nil)
		if said, ok := errors.AsType[*rpcError](err); ok && said.Code == codeUnknown {
			continue // not the wallet's, or abandoned with its parent
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// DoubleSpend makes a payment of the wallet's void: it mines a transaction that spends the same inputs back to the
// wallet, in the next block when the payment is in the mempool, else by replacing the blocks from the payment's on
// (at most 100). Returns the txid of the conflicting transaction. bitcoin.ErrUnknownTx, bitcoin.ErrNotFaucet.
func (n *Node) DoubleSpend(ctx context.Context, txid string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	made, err := n.doubleSpend(ctx, txid)
	if err != nil {
		return "", fmt.Errorf("double-spend: %w", err)
	}
	return made, nil
}

func (n *Node) doubleSpend(ctx context.Context, txid string) (string, error) {
	victim, confirmations, err := n.walletTx(ctx, txid)
	if err != nil {
		return "", err
	}
	made, err := n.conflict(ctx, victim)
	if err != nil {
		return "", err
	}
	if confirmations > 0 {
		return made.Hash().String(), n.reorganise(ctx, confirmations, map[string]bool{txid: true}, made)
	}
	pending, err := n.pending(ctx)
	if err != nil {
		return "", err
	}
	if !slices.Contains(pending, txid) {
		return "", fmt.Errorf("%w: %s is not in the mempool", bitcoin.ErrUnknownTx, txid)
	}
	// The rest of the mempool is mined beside it, without what depends on the victim.
	txs := []string{encode(made.MsgTx())}
	lost := map[string]bool{txid: true}
	for _, other := range pending {
		var raw string
		if err := n.call(ctx, "getrawtransaction", []any{other}, &raw); err != nil {
			return "", err
		}
		tx, err := decode(raw)
		if err != nil {
			return "", err
		}
		if lost[other] || slices.ContainsFunc(tx.MsgTx().TxIn, func(in *wire.TxIn) bool { return lost[in.PreviousOutPoint.Hash.String()] }) {
			lost[other] = true
			continue
		}
		txs = append(txs, raw)
	}
	return made.Hash().String(), n.generate(ctx, txs)
}

func (n *Node) walletTx(ctx context.Context, txid string) (*btcutil.Tx, int, error) {
	var found struct {
		Hex           string
		Confirmations int
	}
	err := n.call(ctx, "gettransaction", []any{txid}, &found)
	if said, ok := errors.AsType[*rpcError](err); ok && (said.Code == codeUnknown || said.Code == codeInvalidParam) {
		return nil, 0, fmt.Errorf("%w: %w", bitcoin.ErrUnknownTx, err)
	}
	if err != nil {
		return nil, 0, err
	}
	tx, err := decode(found.Hex)
	return tx, found.Confirmations, err
}

// conflict makes and signs a transaction with the victim's inputs that pays the wallet.
func (n *Node) conflict(ctx context.Context, victim *btcutil.Tx) (*btcutil.Tx, error) {
	own, err := n.newAddress(ctx)
	if err != nil {
		return nil, err
	}
	to, err := script(own)
	if err != nil {
		return nil, err
	}
	tx := wire.NewMsgTx(2)
	var prev []any
	var sum int64
	for _, in := range victim.MsgTx().TxIn {
		point := in.PreviousOutPoint
		source, _, err := n.walletTx(ctx, point.Hash.String())
		if err != nil {
			return nil, fmt.Errorf("%w: %w", bitcoin.ErrNotFaucet, err)
		}
		out := source.MsgTx().TxOut[point.Index]
		sum += out.Value
		tx.AddTxIn(wire.NewTxIn(&point, nil, nil))
		prev = append(prev, map[string]any{
			"txid": point.Hash.String(), "vout": point.Index, "scriptPubKey": hex.EncodeToString(out.PkScript),
			"amount": json.RawMessage(fmt.Sprintf("%d.%08d", out.Value/1e8, out.Value%1e8)),
		})
	}
	fee := int64(2*feeRate) * int64(50+70*len(tx.TxIn))
	tx.AddTxOut(wire.NewTxOut(sum-fee, to))
	signed, err := n.sign(ctx, encode(tx), prev)
	if err != nil {
		return nil, err
	}
	return decode(signed)
}
