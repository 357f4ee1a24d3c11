package ethereum

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	geth "github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/core/vm/program"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rpc"
)

// childDir, when set, makes the test binary a chain to be killed.
const childDir = "PIPE_TEST_CHAIN_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		return
	}
	os.Exit(m.Run())
}

type rig struct {
	*Chain
	t      *testing.T
	client *ethclient.Client
}

func open(t *testing.T, dir string, change ...func(*Options)) *rig {
	t.Helper()
	o := Options{Dir: dir, Listen: "127.0.0.1:0"}
	for _, f := range change {
		f(&o)
	}
	c, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return &rig{Chain: c, t: t, client: dial(t, c.URL())}
}

func dial(t *testing.T, url string) *ethclient.Client {
	t.Helper()
	client, err := ethclient.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func (r *rig) must(txid string, err error) string {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	return txid
}

func (r *rig) mine(n int) (int64, string) {
	r.t.Helper()
	height, hash, err := r.Mine(r.t.Context(), n)
	if err != nil {
		r.t.Fatal(err)
	}
	return height, hash
}

func (r *rig) reorg(depth int, drop ...string) (int64, string) {
	r.t.Helper()
	height, hash, err := r.Reorg(r.t.Context(), depth, drop)
	if err != nil {
		r.t.Fatal(err)
	}
	return height, hash
}

func (r *rig) wantBalance(address string, want int64) {
	r.t.Helper()
	got, err := r.client.BalanceAt(r.t.Context(), common.HexToAddress(address), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if got.Cmp(big.NewInt(want)) != 0 {
		r.t.Errorf("balance of %s: got %s, want %d", address, got, want)
	}
}

func (r *rig) wantStatus(txid string, want uint64) *types.Receipt {
	r.t.Helper()
	receipt, err := r.client.TransactionReceipt(r.t.Context(), common.HexToHash(txid))
	if err != nil {
		r.t.Fatalf("receipt of %s: %v", txid, err)
	}
	if receipt.Status != want {
		r.t.Errorf("status of %s: got %d, want %d", txid, receipt.Status, want)
	}
	return receipt
}

// wantGone checks that a transaction is neither mined nor pending.
func (r *rig) wantGone(txid string) {
	r.t.Helper()
	_, pending, err := r.client.TransactionByHash(r.t.Context(), common.HexToHash(txid))
	if !errors.Is(err, geth.NotFound) {
		r.t.Errorf("transaction %s: pending %v, error %v, want not found", txid, pending, err)
	}
}

func address(n int) string { return common.BigToAddress(big.NewInt(0xabcd0000 + int64(n))).Hex() }

func wei(n int64) *big.Int { return big.NewInt(n) }

func TestPayments(t *testing.T) {
	r := open(t, t.TempDir())
	ctx := t.Context()
	plain := r.must(r.Pay(ctx, address(1), wei(11)))
	split := r.must(r.PayByContract(ctx, address(2), wei(22)))
	batch := r.must(r.PayManyByContract(ctx, map[string]*big.Int{address(3): wei(33), address(4): wei(44)}))
	reverted := r.must(r.Revert(ctx, address(5), wei(55)))
	destroyed := r.must(r.Selfdestruct(ctx, address(6), wei(66)))
	fake := r.must(r.EmitFakeTransfer(ctx, address(7)))
	if height, _ := r.mine(1); height != 1 {
		t.Errorf("height %d, want 1", height)
	}
	for n, want := range map[int]int64{1: 11, 2: 22, 3: 33, 4: 44, 5: 0, 6: 66, 7: 0} {
		r.wantBalance(address(n), want)
	}
	r.wantBalance(splitterAddress, 0)
	for _, txid := range []string{plain, split, batch, destroyed} {
		if receipt := r.wantStatus(txid, 1); len(receipt.Logs) != 0 {
			t.Errorf("%s has logs", txid)
		}
	}
	r.wantStatus(reverted, 0)
	receipt := r.wantStatus(fake, 1)
	if len(receipt.Logs) != 1 || len(receipt.Logs[0].Topics) != 3 {
		t.Fatalf("fake transfer logs: %v", receipt.Logs)
	}
	l := receipt.Logs[0]
	if l.Topics[0] != common.HexToHash("0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef") ||
		common.BytesToAddress(l.Topics[2].Bytes()).Hex() != address(7) || new(big.Int).SetBytes(l.Data).Cmp(wei(params.Ether)) != 0 {
		t.Errorf("fake transfer log: %+v", l)
	}
	if receipt := r.wantStatus(destroyed, 1); receipt.ContractAddress == (common.Address{}) {
		t.Error("self-destructing contract was not created")
	}
}

func TestManyPayeesAndManyInFlight(t *testing.T) {
	r := open(t, t.TempDir())
	many := map[string]*big.Int{}
	for i := range maxPayees {
		many[address(i)] = wei(int64(i + 1))
	}
	r.wantStatusAfterMining(r.must(r.PayManyByContract(t.Context(), many)))
	for i := range maxPayees {
		r.wantBalance(address(i), int64(i+1))
	}
	var last string
	for range 300 {
		last = r.must(r.Pay(t.Context(), address(1000), wei(1)))
	}
	r.wantStatusAfterMining(last)
	r.wantBalance(address(1000), 300)
}

func (r *rig) wantStatusAfterMining(txid string) {
	r.t.Helper()
	r.mine(1)
	r.wantStatus(txid, 1)
}

func TestRefusals(t *testing.T) {
	r := open(t, t.TempDir())
	ctx := t.Context()
	for _, tc := range []struct {
		name string
		err  error
		want error
	}{
		{"address", second(r.Pay(ctx, "0x12", wei(1))), ErrAddress},
		{"zero", second(r.Pay(ctx, address(1), wei(0))), ErrAmount},
		{"nil", second(r.PayByContract(ctx, address(1), nil)), ErrAmount},
		{"nobody", second(r.PayManyByContract(ctx, nil)), ErrRange},
		{"unknown tx", second(r.DoubleSpend(ctx, common.Hash{1}.Hex())), ErrUnknownTx},
		{"bad tx", second(r.DoubleSpend(ctx, "x")), ErrUnknownTx},
		{"no blocks", third(r.Mine(ctx, 0)), ErrRange},
		{"below genesis", third(r.Reorg(ctx, 1, nil)), ErrRange},
		{"finality", r.SetFinality(ctx, Finality{Safe: 2, Final: 1}), ErrRange},
	} {
		if !errors.Is(tc.err, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, tc.err, tc.want)
		}
	}
	if _, err := Open(ctx, Options{Dir: t.TempDir(), Listen: "0.0.0.0:0"}); err == nil {
		t.Error("listening on all addresses is allowed")
	}
}

func second[A any](_ A, err error) error        { return err }
func third[A, B any](_ A, _ B, err error) error { return err }

func TestReorgMinesAgain(t *testing.T) {
	r := open(t, t.TempDir())
	ctx := t.Context()
	r.mine(3)
	a := r.must(r.Pay(ctx, address(1), wei(1)))
	r.mine(1)
	b := r.must(r.PayByContract(ctx, address(2), wei(2)))
	height, hash := r.mine(1)
	before := r.wantStatus(a, 1)
	newHeight, newHash := r.reorg(2)
	if newHeight != height+1 || newHash == hash {
		t.Errorf("tip %d %s after %d %s", newHeight, newHash, height, hash)
	}
	after := r.wantStatus(a, 1)
	if after.BlockHash == before.BlockHash || after.BlockNumber.Int64() != before.BlockNumber.Int64()+1 {
		t.Errorf("payment was in block %d, is in block %d", before.BlockNumber, after.BlockNumber)
	}
	r.wantStatus(b, 1)
	r.wantBalance(address(1), 1)
	r.wantBalance(address(2), 2)
	for n := range newHeight {
		parent, err := r.client.HeaderByNumber(ctx, big.NewInt(n))
		if err != nil {
			t.Fatal(err)
		}
		child, err := r.client.HeaderByNumber(ctx, big.NewInt(n+1))
		if err != nil {
			t.Fatal(err)
		}
		if child.ParentHash != parent.Hash() || child.Time <= parent.Time {
			t.Errorf("block %d does not follow %d", n+1, n)
		}
	}
}

func TestReorgDropsForGood(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	ctx := t.Context()
	keep := r.must(r.Pay(ctx, address(1), wei(1)))
	gone := r.must(r.Pay(ctx, address(2), wei(2)))
	next := r.must(r.PayByContract(ctx, address(3), wei(3)))
	r.mine(2)
	pending := r.must(r.Pay(ctx, address(4), wei(4)))
	pendingGone := r.must(r.Pay(ctx, address(5), wei(5)))
	r.reorg(2, gone, pendingGone)
	check := func(r *rig) {
		t.Helper()
		r.wantGone(gone)
		r.wantGone(pendingGone)
		r.wantStatus(keep, 1)
		r.wantStatus(next, 1)
		r.wantBalance(address(2), 0)
		r.wantBalance(address(5), 0)
	}
	check(r)
	later := r.must(r.Pay(ctx, address(6), wei(6)))
	r.mine(1)
	check(r)
	r.wantStatus(pending, 1)
	r.wantStatus(later, 1)
	if _, _, err := r.Reorg(ctx, 1, []string{keep}); !errors.Is(err, ErrUnknownTx) {
		t.Errorf("dropping what is mined deeper: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = open(t, dir)
	r.mine(1)
	check(r)
	r.reorg(1, gone) // gone before
	check(r)
}

// account is somebody else's key.
type account struct {
	r     *rig
	key   []byte
	nonce uint64
}

func (r *rig) account(seed byte) *account {
	return &account{r: r, key: crypto.Keccak256([]byte{seed})}
}

func (a *account) address() common.Address {
	key, err := crypto.ToECDSA(a.key)
	if err != nil {
		a.r.t.Fatal(err)
	}
	return crypto.PubkeyToAddress(key.PublicKey)
}

func (a *account) sign(to string, value int64) *types.Transaction {
	a.r.t.Helper()
	key, err := crypto.ToECDSA(a.key)
	if err != nil {
		a.r.t.Fatal(err)
	}
	dest := common.HexToAddress(to)
	tx, err := types.SignNewTx(key, types.LatestSignerForChainID(big.NewInt(1337)), &types.DynamicFeeTx{
		ChainID: big.NewInt(1337), Nonce: a.nonce, GasTipCap: wei(params.GWei), GasFeeCap: wei(50 * params.GWei),
		Gas: 21_000, To: &dest, Value: wei(value),
	})
	if err != nil {
		a.r.t.Fatal(err)
	}
	return tx
}

func (a *account) send(to string, value int64) string {
	a.r.t.Helper()
	tx := a.sign(to, value)
	if err := a.r.client.SendTransaction(a.r.t.Context(), tx); err != nil {
		a.r.t.Fatal(err)
	}
	a.nonce++
	return tx.Hash().Hex()
}

func TestReorgDropsOthersTransactions(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	other := r.account(1)
	fund := r.must(r.Pay(t.Context(), other.address().Hex(), wei(params.Ether)))
	r.mine(1)
	first := other.send(address(1), 1)
	second := other.send(address(2), 2)
	mine := r.must(r.Pay(t.Context(), address(3), wei(3)))
	r.mine(1)
	r.wantStatus(second, 1)
	r.reorg(1, first)
	check := func(r *rig) {
		t.Helper()
		r.wantGone(first)
		r.wantStatus(mine, 1)
		r.wantBalance(address(1), 0)
		if _, pending, err := r.client.TransactionByHash(t.Context(), common.HexToHash(second)); err != nil || !pending {
			t.Errorf("dependent transaction: pending %v, %v", pending, err)
		}
	}
	check(r)
	r.mine(1)
	check(r)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = open(t, dir)
	check(r)
	// Dropping what paid for a transaction takes that one along, too.
	r.reorg(4, fund)
	r.mine(1)
	r.wantGone(fund)
	r.wantStatus(mine, 1)
	r.wantBalance(other.address().Hex(), 0)
	other.r, other.nonce = r, 0
	r.must(r.Pay(t.Context(), other.address().Hex(), wei(params.Ether)))
	r.mine(1)
	again := other.send(address(1), 1) // the sender may send it again
	r.mine(1)
	if again != first {
		t.Errorf("sent %s, want %s", again, first)
	}
	r.wantStatus(again, 1)
	r.reorg(1, first)
	r.reorg(1, first) // gone before
	r.wantGone(first)
}

func TestDoubleSpend(t *testing.T) {
	r := open(t, t.TempDir())
	ctx := t.Context()
	pending := r.must(r.Pay(ctx, address(1), wei(1)))
	after := r.must(r.Pay(ctx, address(2), wei(2)))
	other := r.must(r.DoubleSpend(ctx, pending))
	r.mine(1)
	r.wantGone(pending)
	r.wantStatus(other, 1)
	r.wantStatus(after, 1)
	r.wantBalance(address(1), 0)

	mined := r.must(r.PayByContract(ctx, address(3), wei(3)))
	height, _ := r.mine(3)
	instead := r.must(r.DoubleSpend(ctx, mined))
	r.wantGone(mined)
	if receipt := r.wantStatus(instead, 1); receipt.BlockNumber.Int64() != height-1 {
		t.Errorf("double spend is in block %d, want %d", receipt.BlockNumber, height-1)
	}
	r.wantBalance(address(3), 0)
	if again := r.must(r.DoubleSpend(ctx, mined)); again != instead {
		t.Errorf("second answer %s, first %s", again, instead)
	}
	payee := r.account(1)
	r.must(r.Pay(ctx, payee.address().Hex(), wei(params.Ether)))
	r.mine(1)
	if _, err := r.DoubleSpend(ctx, payee.send(address(9), 1)); !errors.Is(err, ErrForeign) {
		t.Errorf("double spend of another's: %v", err)
	}
}

func TestFinality(t *testing.T) {
	r := open(t, t.TempDir())
	ctx := t.Context()
	want := func(tag rpc.BlockNumber, number int64) {
		t.Helper()
		h, err := r.client.HeaderByNumber(ctx, big.NewInt(tag.Int64()))
		if err != nil {
			t.Fatal(err)
		}
		if h.Number.Int64() != number {
			t.Errorf("%v is %d, want %d", tag, h.Number, number)
		}
	}
	want(rpc.FinalizedBlockNumber, 0)
	r.mine(70)
	want(rpc.FinalizedBlockNumber, 6)
	want(rpc.SafeBlockNumber, 38)
	if err := r.SetFinality(ctx, Finality{Safe: 1, Final: 2}); err != nil {
		t.Fatal(err)
	}
	want(rpc.FinalizedBlockNumber, 68)
	if _, _, err := r.Reorg(ctx, 3, nil); !errors.Is(err, ErrFinal) {
		t.Errorf("undoing a final block: %v", err)
	}
	r.reorg(2)
	want(rpc.FinalizedBlockNumber, 69)
	if err := r.SetFinality(ctx, Finality{Frozen: true}); err != nil {
		t.Fatal(err)
	}
	r.mine(5)
	want(rpc.FinalizedBlockNumber, 69)
	want(rpc.SafeBlockNumber, 70)
}

func TestBlockTimes(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	r := open(t, t.TempDir(), func(o *Options) { o.Now = func() time.Time { return now } })
	at := func(n int64) int64 {
		t.Helper()
		h, err := r.client.HeaderByNumber(t.Context(), big.NewInt(n))
		if err != nil {
			t.Fatal(err)
		}
		return int64(h.Time) - now.Unix()
	}
	r.mine(10)
	if at(1) != -9 || at(10) != 0 {
		t.Errorf("first blocks are at %d to %d", at(1), at(10))
	}
	r.mine(2) // within the same second
	if at(11) != 1 || at(12) != 2 {
		t.Errorf("more blocks are at %d, %d", at(11), at(12))
	}
	now = now.Add(5 * time.Second)
	r.mine(2)
	if at(13) != -1 || at(14) != 0 {
		t.Errorf("blocks after five seconds are at %d, %d", at(13), at(14))
	}
}

func TestOldState(t *testing.T) {
	r := open(t, t.TempDir())
	ctx := t.Context()
	r.must(r.Pay(ctx, address(1), wei(7)))
	_, early := r.mine(1)
	r.must(r.PayByContract(ctx, address(1), wei(5)))
	_, orphan := r.mine(1)
	r.reorg(1)
	r.mine(300) // more than the 128 states a pruning node keeps
	for _, tc := range []struct {
		block string
		want  int64
	}{{early, 7}, {orphan, 12}} {
		got, err := r.client.BalanceAtHash(ctx, common.HexToAddress(address(1)), common.HexToHash(tc.block))
		if err != nil {
			t.Fatal(err)
		}
		if got.Cmp(wei(tc.want)) != 0 {
			t.Errorf("balance at %s: got %s, want %d", tc.block, got, tc.want)
		}
	}
	// A call without a destination runs its data as init code: one call reads many balances.
	p := program.New()
	for i := range 500 {
		p.Push(common.HexToAddress(address(i))).Op(vm.BALANCE).Push(32 * i).Op(vm.MSTORE)
	}
	out, err := r.client.CallContractAtHash(ctx, geth.CallMsg{Data: p.Return(0, 32*500).Bytes()}, common.HexToHash(early))
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != 32*500 || new(big.Int).SetBytes(out[32:64]).Cmp(wei(7)) != 0 || new(big.Int).SetBytes(out[64:96]).Sign() != 0 {
		t.Errorf("balances by call: %x", out[:96])
	}
}

func TestModules(t *testing.T) {
	r := open(t, t.TempDir())
	d := open(t, t.TempDir(), func(o *Options) { o.Debug = true })
	for _, tc := range []struct {
		r      *rig
		method string
		params []any
		ok     bool
	}{
		{r, "eth_chainId", nil, true},
		{r, "eth_syncing", nil, true},
		{r, "net_version", nil, true},
		{r, "web3_clientVersion", nil, true},
		{r, "txpool_status", nil, true},
		{r, "eth_getLogs", []any{map[string]any{"fromBlock": "0x0", "toBlock": "latest"}}, true},
		{r, "debug_traceBlockByNumber", []any{"latest"}, false},
		{r, "admin_nodeInfo", nil, false},
		{r, "miner_setGasLimit", []any{"0x1"}, false},
		{d, "debug_traceBlockByNumber", []any{"latest", map[string]any{"tracer": "callTracer"}}, true},
	} {
		if tc.r == d {
			tc.r.mine(1)
		}
		var out json.RawMessage
		err := tc.r.client.Client().CallContext(t.Context(), &out, tc.method, tc.params...)
		if (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.method, err)
		}
		if tc.method == "eth_syncing" && string(out) != "false" {
			t.Errorf("node says it is syncing: %s", out)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL(),
		strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "rebound.example"
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("foreign host name: status %d", response.StatusCode)
	}
}

func TestPauseResume(t *testing.T) {
	r := open(t, t.TempDir())
	url := r.URL()
	for range 2 {
		if err := r.Pause(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.client.BlockNumber(t.Context()); err == nil {
		t.Error("endpoint answers while paused")
	}
	r.mine(2)
	for range 2 {
		if err := r.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := r.client.BlockNumber(t.Context()); err != nil || n != 2 {
		t.Errorf("block number after Resume: %d, %v", n, err)
	}
	if r.URL() != url {
		t.Errorf("URL changed from %s to %s", url, r.URL())
	}
}

func TestCloseAndReopen(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	ctx := t.Context()
	r.must(r.Pay(ctx, address(1), wei(1)))
	r.mine(5)
	height, hash := r.reorg(2)
	pending := r.must(r.Pay(ctx, address(2), wei(2)))
	faucet := r.Faucet()
	if _, err := Open(ctx, Options{Dir: dir, Listen: "127.0.0.1:0"}); !errors.Is(err, node.ErrDatadirUsed) {
		t.Errorf("second Open: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, _, err := r.Mine(ctx, 1); !errors.Is(err, ErrClosed) {
		t.Errorf("Mine after Close: %v", err)
	}
	if _, err := Open(ctx, Options{Dir: dir, Listen: "127.0.0.1:0", ChainID: 5}); err == nil {
		t.Error("another chain id is taken")
	}
	r = open(t, dir)
	if h, s := r.tip(); h != height || s != hash {
		t.Errorf("tip %d %s, want %d %s", h, s, height, hash)
	}
	if r.Faucet() != faucet {
		t.Error("faucet changed")
	}
	r.mine(1)
	r.wantStatus(pending, 1)
}

func TestRebuildFromLog(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(dir string) error
	}{
		{"directory lost", func(dir string) error { return os.RemoveAll(filepath.Join(dir, nodeDir)) }},
		{"database damaged", func(dir string) error {
			path := filepath.Join(dir, nodeDir, "geth", "chaindata")
			manifests, err := filepath.Glob(filepath.Join(path, "MANIFEST-*"))
			if err != nil || len(manifests) == 0 {
				return fmt.Errorf("no manifest: %w", err)
			}
			for _, m := range manifests {
				err = errors.Join(err, os.WriteFile(m, []byte("damaged"), 0o600))
			}
			return err
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			r := open(t, dir)
			r.must(r.PayByContract(t.Context(), address(1), wei(9)))
			r.mine(3)
			height, hash := r.reorg(2)
			r.must(r.Pay(t.Context(), address(2), wei(2)))
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			if err := tc.spoil(dir); err != nil {
				t.Fatal(err)
			}
			r = open(t, dir)
			if h, s := r.tip(); h != height || s != hash {
				t.Errorf("tip %d %s, want %d %s", h, s, height, hash)
			}
			r.mine(1)
			r.wantBalance(address(1), 9)
			r.wantBalance(address(2), 2)
		})
	}
}

// child runs in a process of its own until it is killed, and tells what it has done: a line for each durable step.
func child(dir string) {
	fail := func(err error) {
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
	}
	ctx := context.Background()
	c, err := Open(ctx, Options{Dir: dir, Listen: "127.0.0.1:0"})
	fail(err)
	for i := 0; ; i++ {
		mined, err := c.Pay(ctx, address(1), wei(1))
		fail(err)
		_, _, err = c.Mine(ctx, 3)
		fail(err)
		height, hash, err := c.Reorg(ctx, 2, nil)
		fail(err)
		dropped, err := c.Pay(ctx, address(2), wei(1))
		fail(err)
		_, err = c.DoubleSpend(ctx, dropped)
		fail(err)
		pending, err := c.PayByContract(ctx, address(3), wei(1))
		fail(err)
		fmt.Println("done", height, hash, mined, pending, dropped)
	}
}

// TestKill kills a chain by SIGKILL, at moments that differ, and opens it again.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	for round := range 4 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var height int64
		var hash, mined, pending, dropped string
		lines := bufio.NewScanner(stdout)
		for n := 0; n < 3+round && lines.Scan(); n++ {
			if _, err := fmt.Sscanf(lines.Text(), "done %d %s %s %s %s", &height, &hash, &mined, &pending, &dropped); err != nil {
				t.Fatalf("child said %q", lines.Text())
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it still did before it died
			if _, err := fmt.Sscanf(lines.Text(), "done %d %s %s %s %s", &height, &hash, &mined, &pending, &dropped); err != nil {
				t.Logf("child said %q", lines.Text())
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("child was not killed")
		}
		r := open(t, dir)
		h, err := r.client.HeaderByNumber(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		// The child may have done more than it could tell: its last block then comes after the last one told.
		if got := h.Number.Int64(); got < height {
			t.Errorf("round %d: tip is %d, was %d", round, got, height)
		} else if got == height && h.Hash().Hex() != hash {
			t.Errorf("round %d: tip is %s, was %s", round, h.Hash(), hash)
		}
		r.wantStatus(mined, 1)
		if _, _, err := r.client.TransactionByHash(t.Context(), common.HexToHash(pending)); err != nil {
			t.Errorf("round %d: pending transaction is lost: %v", round, err)
		}
		r.wantGone(dropped)
		r.mine(1)
		r.wantStatus(pending, 1)
		r.wantBalance(address(2), 0)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKillKeepsTip stops a child at a known tip, so that it must be exactly the same afterwards.
func TestKillKeepsTip(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for n := 0; n < 3 && lines.Scan(); n++ {
		continue
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("child was not killed")
	}
	l, err := openLog(filepath.Join(dir, "blocks.log"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	want := l.canon[len(l.canon)-1].hash.Hex()
	height := int64(len(l.canon))
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	r := open(t, dir)
	if h, s := r.tip(); h != height || s != want {
		t.Errorf("tip is %d %s, want %d %s", h, s, height, want)
	}
}

func TestTornLog(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	_, before := r.mine(2)
	size := r.blocks.size
	r.mine(1)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "blocks.log")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"half a header": whole[:size+3],
		"half a body":   whole[:size+40],
		"zeros":         append(bytes.Clone(whole[:size]), make([]byte, 4096)...),
	} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		r := open(t, dir)
		if h, s := r.tip(); h != 2 || s != before {
			t.Errorf("%s: tip %d %s, want 2 %s", name, h, s, before)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	damaged := bytes.Clone(whole)
	damaged[size-5] ^= 1
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Dir: dir, Listen: "127.0.0.1:0"}); !errors.Is(err, ErrLogCorrupt) {
		t.Errorf("damage before the end: %v", err)
	}
}

func TestGethKeepsQuiet(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, nil))
	was := slog.Default()
	r := open(t, t.TempDir(), func(o *Options) { o.Logger = logger })
	r.mine(1)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if out.Len() != 0 {
		t.Errorf("log at info level: %s", out.String())
	}
	if slog.Default() != was {
		t.Error("the default logger was replaced")
	}
}
