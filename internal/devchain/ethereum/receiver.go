package ethereum

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/core/vm/program"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
)

// The contracts here are made by transactions of the faucet, so each is there from the next Mine on, and gone with its block.

// gasDeploy is the gas that making one of them is given.
const gasDeploy = 200_000

// gasTurn is what one turn of an eater's loop costs.
const gasTurn = 26

// NewRefuser makes a contract that reverts whatever is sent to it, and returns its address.
func (c *Chain) NewRefuser(ctx context.Context) (address string, err error) {
	return c.deploy(ctx, program.New().ReturnViaCodeCopy(program.New().Op(vm.PUSH0, vm.PUSH0, vm.REVERT).Bytes()).Bytes())
}

// NewEater makes a contract that takes coins and burns about so much gas for it, beyond the 21,000 and some 2,200 to begin
// with, and returns its address. Gas is at most 10 million.
func (c *Chain) NewEater(ctx context.Context, gas uint64) (address string, err error) {
	if gas > maxAppetite {
		return "", fmt.Errorf("make contract that eats %d gas: %w", gas, ErrRange)
	}
	return c.deploy(ctx, program.New().Sstore(0, gas/gasTurn).ReturnViaCodeCopy(eaterCode()).Bytes())
}

// SetAppetite changes how much gas an eater burns, from when its transaction is mined.
func (c *Chain) SetAppetite(ctx context.Context, eater string, gas uint64) (txid string, err error) {
	if !common.IsHexAddress(eater) {
		return "", fmt.Errorf("%q: %w", eater, ErrAddress)
	}
	if gas > maxAppetite {
		return "", fmt.Errorf("set appetite to %d gas: %w", gas, ErrRange)
	}
	to := common.HexToAddress(eater)
	return c.send(ctx, call{to: &to, value: new(big.Int), data: common.BigToHash(new(big.Int).SetUint64(gas / gasTurn)).Bytes(), gas: gasBase})
}

// NewDestroyed makes a contract that is destroyed in the transaction that makes it (EIP-6780), and returns the address where
// it was: one without code.
func (c *Chain) NewDestroyed(ctx context.Context) (address string, err error) {
	return c.deploy(ctx, selfdestructCode(c.faucet.address))
}

// Delegate has an account run a contract's code as its own (EIP-7702), or no code any more for the zero address. The faucet
// pays; the account's nonce, which must be the next one, is used up. Mined by the next Mine.
func (c *Chain) Delegate(ctx context.Context, key *ecdsa.PrivateKey, nonce uint64, contract string) (txid string, err error) {
	if !common.IsHexAddress(contract) {
		return "", fmt.Errorf("%q: %w", contract, ErrAddress)
	}
	auth := types.SetCodeAuthorization{Address: common.HexToAddress(contract), Nonce: nonce}
	auth.ChainID.SetUint64(c.faucet.chainID.Uint64())
	if auth, err = types.SignSetCode(key, auth); err != nil {
		return "", fmt.Errorf("sign delegation: %w", err)
	}
	if err := c.lock(ctx); err != nil {
		return "", err
	}
	defer c.mu.Unlock()
	tip, limit := c.faucetFees()
	data := &types.SetCodeTx{Nonce: c.eth.TxPool().PoolNonce(c.faucet.address), Gas: gasDeploy, To: c.faucet.address, AuthList: []types.SetCodeAuthorization{auth}}
	data.ChainID = fresh(data.ChainID).SetUint64(c.faucet.chainID.Uint64())
	data.GasTipCap = fresh(data.GasTipCap).SetUint64(tip.Uint64())
	data.GasFeeCap = fresh(data.GasFeeCap).SetUint64(limit.Uint64())
	data.Value = fresh(data.Value)
	tx, err := types.SignNewTx(c.faucet.key, c.faucet.signer, data)
	if err != nil {
		return "", fmt.Errorf("sign faucet transaction: %w", err)
	}
	if err := c.submit(tx); err != nil {
		return "", fmt.Errorf("send faucet transaction: %w", err)
	}
	return tx.Hash().Hex(), nil
}

// fresh makes a value of a field's type, without naming the module that it is of.
func fresh[T any](*T) *T { return new(T) }

// deploy makes a contract by its init code.
func (c *Chain) deploy(ctx context.Context, code []byte) (address string, err error) {
	txid, err := c.send(ctx, call{value: new(big.Int), data: code, gas: gasDeploy})
	if err != nil {
		return "", err
	}
	tx := c.eth.TxPool().Get(common.HexToHash(txid))
	if tx == nil { // mined meanwhile
		if _, tx = c.eth.BlockChain().GetCanonicalTransaction(common.HexToHash(txid)); tx == nil {
			return "", errors.New("make contract: its transaction is nowhere")
		}
	}
	return crypto.CreateAddress(c.faucet.address, tx.Nonce()).Hex(), nil
}

// eaterCode stores its input, if there is any, as the number of turns; else it turns so often.
func eaterCode() []byte {
	build := func(eat, done uint64) ([]byte, uint64, uint64) {
		p := program.New().Op(vm.CALLDATASIZE, vm.ISZERO).Op(vm.PUSH2).Append(label(eat)).Op(vm.JUMPI)
		p.Op(vm.PUSH0, vm.CALLDATALOAD, vm.PUSH0, vm.SSTORE, vm.STOP)
		p, eat = p.Jumpdest()
		p.Op(vm.PUSH0, vm.SLOAD) // [turns]
		p.Op(vm.DUP1, vm.ISZERO).Op(vm.PUSH2).Append(label(done)).Op(vm.JUMPI)
		p, loop := p.Jumpdest()
		p.Push(1).Op(vm.SWAP1, vm.SUB, vm.DUP1).Op(vm.PUSH2).Append(label(loop)).Op(vm.JUMPI)
		p, done = p.Jumpdest()
		return p.Op(vm.STOP).Bytes(), eat, done
	}
	_, eat, done := build(0, 0) // labels have a fixed width: the second pass knows where they are
	code, _, _ := build(eat, done)
	return code
}

// faucetFees are tip and fee cap of the faucet's transactions: enough to be mined at any SetFeeRate so far. The caller holds
// the lock.
func (c *Chain) faucetFees() (tip, limit *big.Int) {
	tip = big.NewInt(params.GWei)
	if c.least != nil && c.least.Cmp(tip) > 0 {
		tip.Set(c.least)
	}
	limit = new(big.Int).Add(big.NewInt(100*params.GWei), new(big.Int).Lsh(c.eth.BlockChain().CurrentBlock().BaseFee, 1))
	return tip, limit.Add(limit, tip)
}
