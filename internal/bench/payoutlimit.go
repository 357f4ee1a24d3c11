package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"time"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
)

// The limit programs of payouts: a key, a signature, the node's own call, and no record of anything.

// rpc asks a node and answers the result.
func rpc(ctx context.Context, node, method string, params ...any) (json.RawMessage, error) {
	u, err := url.Parse(node)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.Scheme+"://"+u.Host+u.Path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if u.User != nil {
		password, _ := u.User.Password()
		req.SetBasicAuth(u.User.Username(), password)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, answerMost))
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return nil, err
	}
	var said struct {
		Result json.RawMessage
		Error  *struct{ Message string }
	}
	if err := json.Unmarshal(answer, &said); err != nil {
		return nil, fmt.Errorf("%s answers %.200s: %w", method, answer, err)
	}
	if said.Error != nil {
		return nil, fmt.Errorf("%s: %s", method, said.Error.Message)
	}
	return said.Result, nil
}

type bitcoinKey struct {
	key     *btcec.PrivateKey
	address string
	script  []byte
}

func newBitcoinKey() (*bitcoinKey, error) {
	key, err := btcec.NewPrivateKey()
	if err != nil {
		return nil, err
	}
	a, err := address.NewAddressWitnessPubKeyHash(address.Hash160(key.PubKey().SerializeCompressed()), &chaincfg.RegressionNetParams)
	if err != nil {
		return nil, err
	}
	script, err := txscript.PayToAddrScript(a)
	return &bitcoinKey{key, a.EncodeAddress(), script}, err
}

// spends is how many coins a second are signed for, sent and mined, a transaction each.
func (k *bitcoinKey) spends(ctx context.Context, c localChain, n int) (float64, error) {
	const coin = 50_000
	var coins []chainhash.Hash
	for range n {
		id, err := c.give(ctx, k.address, big.NewInt(coin))
		if err != nil {
			return 0, err
		}
		hash, err := chainhash.NewHashFromStr(id)
		if err != nil {
			return 0, err
		}
		coins = append(coins, *hash)
	}
	if err := c.mine(ctx, 1); err != nil {
		return 0, err
	}
	began := time.Now()
	for _, from := range coins {
		raw, err := k.sign(from, coin)
		if err != nil {
			return 0, err
		}
		if _, err := rpc(ctx, c.url, "sendrawtransaction", hex.EncodeToString(raw)); err != nil {
			return 0, err
		}
	}
	if err := c.mine(ctx, c.final); err != nil {
		return 0, err
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// sign spends the first output of a transaction to the key itself.
func (k *bitcoinKey) sign(from chainhash.Hash, coin int64) ([]byte, error) {
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(wire.NewOutPoint(&from, 0), nil, nil))
	tx.AddTxOut(wire.NewTxOut(coin-1_000, k.script))
	hashes := txscript.NewTxSigHashes(tx, txscript.NewCannedPrevOutputFetcher(k.script, coin))
	witness, err := txscript.WitnessSignature(tx, hashes, 0, coin, k.script, txscript.SigHashAll, k.key, true)
	if err != nil {
		return nil, err
	}
	tx.TxIn[0].Witness = witness
	var raw bytes.Buffer
	err = tx.Serialize(&raw)
	return raw.Bytes(), err
}

type ethereumKey struct {
	key     *ecdsa.PrivateKey
	address string
	nonce   uint64
}

func newEthereumKey() (*ethereumKey, error) {
	key, err := crypto.GenerateKey()
	if err != nil {
		return nil, err
	}
	return &ethereumKey{key: key, address: crypto.PubkeyToAddress(key.PublicKey).Hex()}, nil
}

// spends is how many transfers a second are signed, sent and mined, of one account.
func (k *ethereumKey) spends(ctx context.Context, c localChain, n int) (float64, error) {
	if err := errors.Join(c.pay(ctx, k.address, big.NewInt(1e18)), c.mine(ctx, 1)); err != nil {
		return 0, err
	}
	to := common.HexToAddress("0x00000000000000000000000000000000000b0b0b")
	began := time.Now()
	for range n {
		tx, err := types.SignNewTx(k.key, types.LatestSignerForChainID(big.NewInt(devChain)), &types.DynamicFeeTx{
			ChainID: big.NewInt(devChain), Nonce: k.nonce, Gas: 21_000, GasFeeCap: big.NewInt(20e9), GasTipCap: big.NewInt(1e9), To: &to, Value: big.NewInt(1e12),
		})
		if err != nil {
			return 0, err
		}
		raw, err := tx.MarshalBinary()
		if err != nil {
			return 0, err
		}
		if _, err := rpc(ctx, c.url, "eth_sendRawTransaction", "0x"+hex.EncodeToString(raw)); err != nil {
			return 0, err
		}
		k.nonce++
	}
	if err := c.mine(ctx, c.final); err != nil {
		return 0, err
	}
	return float64(n) / time.Since(began).Seconds(), nil
}
