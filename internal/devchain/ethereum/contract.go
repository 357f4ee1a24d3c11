package ethereum

import (
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/core/vm/program"
	"github.com/ethereum/go-ethereum/crypto"
)

// The contracts are part of the genesis block, so no reorganisation can take them away.
const (
	splitterAddress = "0x5011770000000000000000000000000000000001" // sends on what it is given
	reverterAddress = "0x5011770000000000000000000000000000000002" // does the same, then reverts
	faketokAddress  = "0x5011770000000000000000000000000000000003" // says that it sent a token
	feesAddress     = "0x5011770000000000000000000000000000000004" // gets the fees of all blocks
)

// contracts are the genesis accounts with code.
func contracts() types.GenesisAlloc {
	account := func(code []byte) types.Account {
		return types.Account{Nonce: 1, Balance: new(big.Int), Code: code}
	}
	return types.GenesisAlloc{
		common.HexToAddress(splitterAddress): account(splitterCode(false)),
		common.HexToAddress(reverterAddress): account(splitterCode(true)),
		common.HexToAddress(faketokAddress):  account(fakeTokenCode()),
	}
}

// splitterCode reads pairs of an address and an amount, 32 bytes each, from its input and sends each amount to its
// address by a call, without a log. A call that fails reverts all; with revert set, all is reverted at the end too.
func splitterCode(revert bool) []byte {
	build := func(fail, end uint64) ([]byte, uint64, uint64) {
		p := program.New().Op(vm.PUSH0)
		p, loop := p.Jumpdest() // [i]
		p.Op(vm.CALLDATASIZE, vm.DUP2, vm.LT, vm.ISZERO).Op(vm.PUSH2).Append(label(end)).Op(vm.JUMPI)
		p.Op(vm.PUSH0, vm.PUSH0, vm.PUSH0, vm.PUSH0)
		p.Op(vm.DUP5).Push(32).Op(vm.ADD, vm.CALLDATALOAD) // amount
		p.Op(vm.DUP6, vm.CALLDATALOAD)                     // address
		p.Op(vm.GAS, vm.CALL, vm.ISZERO).Op(vm.PUSH2).Append(label(fail)).Op(vm.JUMPI)
		p.Push(64).Op(vm.ADD).Op(vm.PUSH2).Append(label(loop)).Op(vm.JUMP)
		p, end = p.Jumpdest()
		if revert {
			p.Op(vm.PUSH0, vm.PUSH0, vm.REVERT)
		} else {
			p.Op(vm.STOP)
		}
		p, fail = p.Jumpdest()
		p.Op(vm.PUSH0, vm.PUSH0, vm.REVERT)
		return p.Bytes(), fail, end
	}
	_, fail, end := build(0, 0) // labels have a fixed width: the second pass knows where they are
	code, _, _ := build(fail, end)
	return code
}

func label(at uint64) []byte { return []byte{byte(at >> 8), byte(at)} }

// fakeTokenCode emits ERC-20's Transfer(this, address, amount) for an input of address and amount, 32 bytes each.
func fakeTokenCode() []byte {
	topic := crypto.Keccak256([]byte("Transfer(address,address,uint256)"))
	return program.New().
		Push(32).Op(vm.CALLDATALOAD, vm.PUSH0, vm.MSTORE).
		Op(vm.PUSH0, vm.CALLDATALOAD, vm.ADDRESS).Push(topic).
		Push(32).Op(vm.PUSH0, vm.LOG3, vm.STOP).Bytes()
}

// selfdestructCode is init code that leaves all it was given to an address, by SELFDESTRUCT (EIP-6780).
func selfdestructCode(to common.Address) []byte {
	return program.New().Selfdestruct(to).Bytes()
}

// payee is one line of the splitter's input.
type payee struct {
	address common.Address
	wei     *big.Int
}

func splitterInput(payees []payee) []byte {
	var data []byte
	for _, p := range payees {
		data = append(data, common.LeftPadBytes(p.address.Bytes(), 32)...)
		data = append(data, common.LeftPadBytes(p.wei.Bytes(), 32)...)
	}
	return data
}
