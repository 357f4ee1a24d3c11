package ethereum

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
)

// Gas of the faucet's transactions; unused gas costs nothing.
const (
	gasBase     = 100_000
	gasPerPayee = 40_000 // one call with value to a new account: 2,600 + 9,000 + 25,000 (EIP-2929), and the loop
)

// faucet is the account that pays, and its key.
type faucet struct {
	key     *ecdsa.PrivateKey
	address common.Address
	signer  types.Signer
	chainID *big.Int
}

func newFaucet(o *origin) (faucet, error) {
	key, err := crypto.ToECDSA(o.FaucetKey)
	if err != nil {
		return faucet{}, fmt.Errorf("read faucet key: %w", err)
	}
	id := new(big.Int).SetUint64(o.ChainID)
	return faucet{
		key: key, address: crypto.PubkeyToAddress(key.PublicKey), signer: types.LatestSignerForChainID(id), chainID: id,
	}, nil
}

// drop says what comes of a transaction that shall be gone: one of the faucet is double-spent, another just left out,
// and then the returned transaction is nil.
func (f faucet) drop(tx *types.Transaction) (drop, *types.Transaction, error) {
	d := drop{Txid: tx.Hash()}
	from, err := types.Sender(f.signer, tx)
	if err != nil {
		return d, nil, fmt.Errorf("recover sender of %s: %w", tx.Hash(), err)
	}
	if from != f.address {
		return d, nil, nil
	}
	other, err := f.double(tx)
	if err != nil {
		return d, nil, err
	}
	d.Replacement, err = other.MarshalBinary()
	if err != nil {
		return d, nil, fmt.Errorf("encode replacement: %w", err)
	}
	return d, other, nil
}

// double signs the payment of the faucet to itself that conflicts with tx: same nonce and value, twice the fees, which
// is more than the pool asks of a replacement (10 %). It is always the same for the same tx (RFC 6979).
func (f faucet) double(tx *types.Transaction) (*types.Transaction, error) {
	other, err := types.SignNewTx(f.key, f.signer, &types.DynamicFeeTx{
		ChainID:   f.chainID,
		Nonce:     tx.Nonce(),
		GasTipCap: new(big.Int).Lsh(tx.GasTipCap(), 1),
		GasFeeCap: new(big.Int).Lsh(tx.GasFeeCap(), 1),
		Gas:       params.TxGas,
		To:        &f.address,
		Value:     tx.Value(),
	})
	if err != nil {
		return nil, fmt.Errorf("sign double spend: %w", err)
	}
	return other, nil
}

// call is what a transaction of the faucet does; a nil To creates a contract of Data.
type call struct {
	to    *common.Address
	value *big.Int
	data  []byte
	gas   uint64
}

// send signs a transaction of the faucet with the next free nonce, puts it into the pool and logs it.
func (c *Chain) send(ctx context.Context, what call) (string, error) {
	if err := c.lock(ctx); err != nil {
		return "", err
	}
	defer c.mu.Unlock()
	tip, limit := c.faucetFees()
	tx, err := types.SignNewTx(c.faucet.key, c.faucet.signer, &types.DynamicFeeTx{
		ChainID:   c.faucet.chainID,
		Nonce:     c.eth.TxPool().PoolNonce(c.faucet.address),
		GasTipCap: tip,
		GasFeeCap: limit,
		Gas:       what.gas,
		To:        what.to,
		Value:     what.value,
		Data:      what.data,
	})
	if err != nil {
		return "", fmt.Errorf("sign faucet transaction: %w", err)
	}
	if err := c.submit(tx); err != nil {
		return "", fmt.Errorf("send faucet transaction: %w", err)
	}
	return tx.Hash().Hex(), nil
}

// submit puts a transaction into the pool and then into the log: a sender that got no error finds it after a crash.
func (c *Chain) submit(tx *types.Transaction) error {
	if err := c.eth.TxPool().Add([]*types.Transaction{tx}, true)[0]; err != nil {
		return err
	}
	return c.blocks.addTransaction(tx)
}

// Pay sends wei to address by a plain transfer and returns the txid. It is mined by the next Mine. Any number may be
// pending. Errors: ErrAddress, ErrAmount.
func (c *Chain) Pay(ctx context.Context, address string, wei *big.Int) (txid string, err error) {
	p, err := parsePayee(address, wei)
	if err != nil {
		return "", err
	}
	return c.send(ctx, call{to: &p.address, value: p.wei, gas: gasBase})
}

// PayByContract sends wei to address by a call from a contract, as exchanges do; there are no logs. Otherwise like Pay.
func (c *Chain) PayByContract(ctx context.Context, address string, wei *big.Int) (txid string, err error) {
	return c.PayManyByContract(ctx, map[string]*big.Int{address: wei})
}

// PayManyByContract sends each address its wei by calls from one contract in one transaction. At most 256 addresses.
func (c *Chain) PayManyByContract(ctx context.Context, wei map[string]*big.Int) (txid string, err error) {
	if len(wei) == 0 || len(wei) > maxPayees {
		return "", fmt.Errorf("pay %d addresses: %w", len(wei), ErrRange)
	}
	payees := make([]payee, 0, len(wei))
	for address, amount := range wei {
		p, err := parsePayee(address, amount)
		if err != nil {
			return "", err
		}
		payees = append(payees, p)
	}
	return c.split(ctx, splitterAddress, payees)
}

// Revert calls a contract that sends wei to address and then reverts: the transaction is mined with status 0, and
// nothing arrives.
func (c *Chain) Revert(ctx context.Context, address string, wei *big.Int) (txid string, err error) {
	p, err := parsePayee(address, wei)
	if err != nil {
		return "", err
	}
	return c.split(ctx, reverterAddress, []payee{p})
}

func (c *Chain) split(ctx context.Context, contract string, payees []payee) (string, error) {
	sum := new(big.Int)
	for _, p := range payees {
		sum.Add(sum, p.wei)
	}
	to := common.HexToAddress(contract)
	gas := uint64(gasBase + gasPerPayee*len(payees))
	return c.send(ctx, call{to: &to, value: sum, data: splitterInput(payees), gas: gas})
}

// Selfdestruct sends wei to address by a contract that destroys itself while it is created (EIP-6780). Otherwise like Pay.
func (c *Chain) Selfdestruct(ctx context.Context, address string, wei *big.Int) (txid string, err error) {
	p, err := parsePayee(address, wei)
	if err != nil {
		return "", err
	}
	return c.send(ctx, call{value: p.wei, data: selfdestructCode(p.address), gas: gasBase + gasPerPayee})
}

// EmitFakeTransfer has a contract emit an ERC-20 Transfer event of 10¹⁸ units to address. No coins move.
func (c *Chain) EmitFakeTransfer(ctx context.Context, address string) (txid string, err error) {
	p, err := parsePayee(address, big.NewInt(params.Ether))
	if err != nil {
		return "", err
	}
	to := common.HexToAddress(faketokAddress)
	return c.send(ctx, call{to: &to, value: new(big.Int), data: splitterInput([]payee{p}), gas: gasBase})
}

// DoubleSpend makes a transaction of the faucet void for good by another one with its nonce that pays the faucet
// itself, and returns that one's txid. A pending transaction is replaced in the pool. A mined one is reorganised away,
// like Reorg from its block up with it in drop. Asked again it returns the same txid, also after Reorg dropped txid.
//
// Errors: ErrUnknownTx; ErrForeign; ErrFinal and ErrRange as for Reorg.
func (c *Chain) DoubleSpend(ctx context.Context, txid string) (newTxid string, err error) {
	h, err := parseTxid(txid)
	if err != nil {
		return "", err
	}
	if err := c.lock(ctx); err != nil {
		return "", err
	}
	defer c.mu.Unlock()
	if other := c.blocks.gone[h]; other != (common.Hash{}) {
		return other.Hex(), nil
	}
	b := c.minedAt(h)
	tx := c.eth.TxPool().Get(h)
	if b != nil {
		tx = b.Transaction(h)
	}
	if tx == nil {
		return "", fmt.Errorf("double-spend %s: %w", h, ErrUnknownTx)
	}
	d, other, err := c.faucet.drop(tx)
	if err != nil {
		return "", err
	}
	if other == nil {
		return "", fmt.Errorf("double-spend %s: %w", h, ErrForeign)
	}
	if b == nil {
		err = c.replacePooled(d, other)
	} else if depth := c.eth.BlockChain().CurrentBlock().Number.Uint64() - b.NumberU64() + 1; depth > maxReorgDepth {
		err = fmt.Errorf("%d blocks deep: %w", depth, ErrRange)
	} else {
		err = c.reorg(ctx, depth, map[common.Hash]bool{h: true})
	}
	if err != nil {
		return "", fmt.Errorf("double-spend %s: %w", h, err)
	}
	return other.Hash().Hex(), nil
}

func (c *Chain) replacePooled(d drop, other *types.Transaction) error {
	if err := c.submit(other); err != nil {
		return err
	}
	return c.blocks.addDrops([]drop{d})
}

func parsePayee(address string, wei *big.Int) (payee, error) {
	if !common.IsHexAddress(address) {
		return payee{}, fmt.Errorf("%q: %w", address, ErrAddress)
	}
	most := new(big.Int).Mul(big.NewInt(faucetEther), big.NewInt(params.Ether))
	if wei == nil || wei.Sign() <= 0 || wei.Cmp(most) > 0 {
		return payee{}, ErrAmount
	}
	return payee{address: common.HexToAddress(address), wei: new(big.Int).Set(wei)}, nil
}

func parseTxid(txid string) (common.Hash, error) {
	var h common.Hash
	if err := h.UnmarshalText([]byte(txid)); err != nil {
		return h, fmt.Errorf("txid %q: %w", txid, ErrUnknownTx)
	}
	return h, nil
}
