package store

import (
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// AddDeposit stores a deposit; (network, ref) is unique.
func (t *tx) AddDeposit(d payment.Deposit) error {
	unvalued, err := t.unvalued(d)
	if err != nil {
		return err
	}
	held, err := t.q.IsHeld(t.ctx, row.IsHeldParams{Network: string(d.Network), Ticket: d.Ref})
	if err != nil {
		return t.fail("find deposit's ticket", err)
	}
	return t.fail("add deposit", t.q.AddDeposit(t.ctx, row.AddDepositParams{
		ID: string(d.ID), InvoiceID: null(string(d.InvoiceID)), Account: string(d.Account), SpendID: string(d.SpendID), Network: string(d.Network), Ref: d.Ref, Address: d.Address,
		Coin: string(d.Amount.Currency()), Amount: d.Amount.Units(), Sender: d.From, TxID: d.TxID, State: string(d.State),
		SeenAt: millis(d.SeenAt), PendingAt: millis(d.PendingAt), Spendable: int64(d.Spendable), Height: int64(d.Height),
		BlockHash: d.BlockHash, BlockTime: millis(d.BlockTime), ArrivedAt: millis(d.Arrived()), Turn: d.Turn,
		WorthCurrency: string(d.Worth.Currency()), Worth: d.Worth.Units(), Unvalued: unvalued, Taken: held > 0, Rev: d.Rev,
	}))
}

// Deposit finds a deposit.
func (t *tx) Deposit(network money.Network, ref string) (payment.Deposit, error) {
	r, err := t.q.Deposit(t.ctx, row.DepositParams{Network: string(network), Ref: ref})
	if err != nil {
		return payment.Deposit{}, t.fail("find deposit", err)
	}
	d, err := deposit(r)
	return d, t.fail("read deposit", err)
}

// SwapDeposit saves the parts of a deposit that may change: all but its id, invoice, address and amount.
func (t *tx) SwapDeposit(d payment.Deposit) error {
	unvalued, err := t.unvalued(d)
	if err != nil {
		return err
	}
	n, err := t.q.SwapDeposit(t.ctx, row.SwapDepositParams{
		Account: string(d.Account), SpendID: string(d.SpendID), Sender: d.From, TxID: d.TxID, State: string(d.State),
		SeenAt: millis(d.SeenAt), PendingAt: millis(d.PendingAt), Spendable: int64(d.Spendable), Height: int64(d.Height), BlockHash: d.BlockHash, BlockTime: millis(d.BlockTime),
		ArrivedAt: millis(d.Arrived()), Turn: d.Turn, WorthCurrency: string(d.Worth.Currency()), Worth: d.Worth.Units(),
		Unvalued: unvalued, Network: string(d.Network), Ref: d.Ref, Rev: d.Rev,
	})
	return t.swapped("save deposit", n, err)
}

// OpenDeposits are those that the next block may move, after an id in id order.
func (t *tx) OpenDeposits(network money.Network, after payment.ID, limit int) ([]payment.Deposit, error) {
	rows, err := t.q.OpenDeposits(t.ctx, row.OpenDepositsParams{Network: string(network), ID: string(after), Most: atMost(limit)})
	return t.deposits("list open deposits", rows, err)
}

// BlockDeposits are those that this block holds.
func (t *tx) BlockDeposits(network money.Network, blockHash string) ([]payment.Deposit, error) {
	rows, err := t.q.BlockDeposits(t.ctx, row.BlockDepositsParams{Network: string(network), BlockHash: blockHash})
	return t.deposits("list a block's deposits", rows, err)
}

// UnvaluedDeposits are live ones that came late for invoices that accept that, and whose worth is not known yet, the
// oldest first.
func (t *tx) UnvaluedDeposits(limit int) ([]payment.Deposit, error) {
	rows, err := t.q.UnvaluedDeposits(t.ctx, atMost(limit))
	return t.deposits("list late deposits", rows, err)
}

// AddressDeposits are all to an address, the oldest first.
func (t *tx) AddressDeposits(network money.Network, address string) ([]payment.Deposit, error) {
	rows, err := t.q.AddressDeposits(t.ctx, row.AddressDepositsParams{Network: string(network), Address: address})
	return t.deposits("list an address's deposits", rows, err)
}

// unvalued tells whether a deposit is one of UnvaluedDeposits. The answer is kept with it, so that the list needs no look
// at all deposits there are; SwapInvoice keeps it true when the deadline moves.
func (t *tx) unvalued(d payment.Deposit) (bool, error) {
	if !d.Live() || d.Worth.Currency() != "" || d.InvoiceID == "" || d.SpendID != "" {
		return false, nil
	}
	late, err := t.q.InvoiceLate(t.ctx, string(d.InvoiceID))
	if err != nil {
		return false, t.fail("find deposit's invoice", err)
	}
	return late.AcceptLate && millis(d.Arrived()) > late.Deadline, nil
}

func (t *tx) deposits(what string, rows []row.Deposit, err error) ([]payment.Deposit, error) {
	if err != nil {
		return nil, t.fail(what, err)
	}
	all, err := each(rows, deposit)
	return all, t.fail(what, err)
}

func deposit(r row.Deposit) (payment.Deposit, error) {
	value, err := amount(money.Currency(r.Coin), r.Amount)
	if err != nil {
		return payment.Deposit{}, err
	}
	worth, err := amount(money.Currency(r.WorthCurrency), r.Worth)
	return payment.Deposit{
		ID: payment.ID(r.ID), InvoiceID: payment.ID(r.InvoiceID.String), Account: ledger.Account(r.Account),
		SpendID: payment.ID(r.SpendID), Network: money.Network(r.Network), Ref: r.Ref,
		Address: r.Address, Amount: value, From: r.Sender, TxID: r.TxID, State: payment.DepositState(r.State),
		SeenAt: at(r.SeenAt), PendingAt: at(r.PendingAt), Spendable: uint64(r.Spendable), Height: uint64(r.Height),
		BlockHash: r.BlockHash, BlockTime: at(r.BlockTime), Turn: r.Turn, Worth: worth, Rev: r.Rev,
	}, err
}
