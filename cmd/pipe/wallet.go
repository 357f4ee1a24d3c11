package main

import (
	"bytes"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pipe-pg/pipe/internal/app"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

type walletCommand struct {
	Balance  walletBalanceCommand  `cmd:"" help:"Show what a merchant's PIPE wallet holds."`
	Address  walletAddressCommand  `cmd:"" help:"Show the address at which the wallet receives coins."`
	Withdraw walletWithdrawCommand `cmd:"" help:"Send coins of the wallet to an address; shows the cost first."`
	History  walletHistoryCommand  `cmd:"" help:"List withdrawals, settlements and refunds, the newest first."`
	Cancel   walletCancelCommand   `cmd:"" help:"Give up a withdrawal for which no transaction was made yet."`
}

// merchantID reads an id as people paste it.
func merchantID(text string) payment.ID { return payment.ID(strings.ToUpper(text)) }

// network is the network that serves a coin.
func network(a *app.App, coin string) (money.Network, error) {
	n, ok := a.Nets[money.Currency(strings.ToUpper(coin))]
	if !ok {
		return "", fmt.Errorf("%s is not served here", coin)
	}
	return n.Network, nil
}

// table writes rows in columns, the first one as their names.
func (e *env) table(rows [][]string) error {
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		if _, err := fmt.Fprintln(w, strings.Join(r, "\t")); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := e.stdout.Write(out.Bytes())
	return err
}

type walletBalanceCommand struct {
	Merchant string `arg:"" help:"Id of the merchant."`
	JSON     bool   `help:"Answer in JSON."`
}

type walletJSON struct {
	Network  money.Network  `json:"network"`
	Coin     money.Currency `json:"coin"`
	Balance  string         `json:"balance"`
	Free     string         `json:"free"`
	Reserved string         `json:"reserved"`
	Asked    string         `json:"asked"`
	Address  string         `json:"address"`
}

func (c walletBalanceCommand) Run(e *env) error {
	return e.withDesk(func(a *app.App) error {
		wallets, err := a.Desk.Wallets(e.ctx, merchantID(c.Merchant))
		if err != nil {
			return err
		}
		all, rows := []walletJSON{}, [][]string{{"COIN", "BALANCE", "FREE", "ON THE WAY", "ASKED FOR", "NETWORK", "RECEIVES AT"}}
		for _, w := range wallets {
			v := walletJSON{w.Network, w.Network.Coin(), w.Balance.Text(), w.Free.Text(), w.Reserved.Text(), w.Asked.Text(), w.Address}
			all = append(all, v)
			rows = append(rows, []string{string(v.Coin), v.Balance, v.Free, v.Reserved, v.Asked, string(v.Network), orDash(v.Address)})
		}
		if c.JSON {
			return e.json(all)
		}
		return e.table(rows)
	})
}

func orDash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

type walletAddressCommand struct {
	Merchant string `arg:"" help:"Id of the merchant."`
	Coin     string `arg:"" help:"BTC or ETH."`
	JSON     bool   `help:"Answer in JSON."`
}

func (c walletAddressCommand) Run(e *env) error {
	return e.withDesk(func(a *app.App) error {
		n, err := network(a, c.Coin)
		if err != nil {
			return err
		}
		address, err := a.Desk.ReceivingAddress(e.ctx, merchantID(c.Merchant), n)
		if err != nil {
			return err
		}
		if c.JSON {
			return e.json(map[string]string{"network": string(n), "address": address})
		}
		_, err = fmt.Fprintln(e.stdout, address)
		return err
	})
}

type walletWithdrawCommand struct {
	Merchant string `arg:"" help:"Id of the merchant."`
	Coin     string `arg:"" help:"BTC or ETH."`
	To       string `arg:"" help:"Address to send to. The signer must know it, or its operator approves it."`
	Amount   string `arg:"" help:"In whole coins, network fee included, or all."`
	Estimate bool   `help:"Only show what it would cost."`
	JSON     bool   `help:"Answer in JSON."`
}

type costJSON struct {
	Amount string `json:"amount"`
	Fee    string `json:"estimated_fee"` // "" where nobody can say
	Net    string `json:"estimated_net"`
}

// withdrawnJSON is a withdrawal just asked for, with what it would have cost at that moment.
type withdrawnJSON struct {
	payoutJSON
	Fee string `json:"estimated_fee"`
	Net string `json:"estimated_net"`
}

func (c walletWithdrawCommand) Run(e *env) error {
	return e.withDesk(func(a *app.App) error {
		n, err := network(a, c.Coin)
		if err != nil {
			return err
		}
		ask := engine.AskWithdrawal{Merchant: merchantID(c.Merchant), Network: n, To: c.To, Amount: c.Amount}
		cost, err := a.Desk.WithdrawalCost(e.ctx, ask)
		if err != nil {
			return err
		}
		v := costJSON{Amount: cost.Amount.Text()}
		if cost.Fee.Currency() != "" {
			v.Fee, v.Net = cost.Fee.Text(), cost.Net.Text()
		}
		if err := c.show(e, cost); err != nil {
			return err
		}
		if c.Estimate && c.JSON {
			return e.json(v)
		} else if c.Estimate {
			return nil
		}
		made, err := a.Desk.Withdraw(e.ctx, ask)
		if err != nil {
			return err
		}
		if c.JSON {
			return e.json(withdrawnJSON{payoutView(made), v.Fee, v.Net})
		}
		_, err = fmt.Fprintf(e.stdout, "withdrawal   %s\n\nIt waits for its turn: pipe wallet history shows how it goes and what it cost.\n", made.ID)
		return err
	})
}

// show prints the cost before anything is asked for.
func (c walletWithdrawCommand) show(e *env, cost engine.Cost) error {
	if c.JSON {
		return nil
	}
	fee, net := "not known just now", "the amount less the fee"
	if cost.Fee.Currency() != "" {
		fee, net = "about "+cost.Fee.String(), "about "+cost.Net.String()
	}
	_, err := fmt.Fprintf(e.stdout, "amount       %s\nnetwork fee  %s\narrives      %s\nat           %s\n", cost.Amount, fee, net, c.To)
	return err
}

type walletHistoryCommand struct {
	Merchant string   `arg:"" help:"Id of the merchant."`
	Coin     string   `help:"Only BTC, or only ETH."`
	Kind     []string `placeholder:"KIND" help:"Only these: withdrawal, settlement, refund, gather."`
	Limit    int      `default:"50" help:"At most so many, up to 500."`
	Before   string   `placeholder:"ID" help:"Only those before this one."`
	JSON     bool     `help:"Answer in JSON."`
}

// kinds reads the kinds of payouts to list.
func (c walletHistoryCommand) kinds() ([]payment.PayoutKind, error) {
	var all []payment.PayoutKind
	for _, text := range c.Kind {
		switch text {
		case "withdrawal", "settlement", "gather":
			all = append(all, payment.PayoutKind(text))
		case "refund":
			all = append(all, payment.RefundAsked, payment.RefundShort, payment.RefundExcess, payment.RefundLate)
		default:
			return nil, fmt.Errorf("--kind %s: there are withdrawal, settlement, refund, gather", text)
		}
	}
	return all, nil
}

func (c walletHistoryCommand) Run(e *env) error {
	kinds, err := c.kinds()
	if err != nil {
		return err
	}
	if c.Limit < 1 || c.Limit > engine.Batch {
		return fmt.Errorf("--limit %d: must be 1 to %d", c.Limit, engine.Batch)
	}
	return e.withDesk(func(a *app.App) (err error) {
		q := engine.MerchantPayouts{Merchant: merchantID(c.Merchant), Kinds: kinds, Before: merchantID(c.Before), Limit: c.Limit}
		if c.Coin != "" {
			if q.Network, err = network(a, c.Coin); err != nil {
				return err
			}
		}
		payouts, err := a.Desk.Payouts(e.ctx, q)
		if err != nil {
			return err
		}
		all, rows := []payoutJSON{}, [][]string{{"ASKED", "KIND", "STATE", "COIN", "AMOUNT", "FEE", "ARRIVES", "TO", "TRANSACTION", "ID"}}
		for _, p := range payouts {
			v := payoutView(p)
			all = append(all, v)
			rows = append(rows, []string{p.CreatedAt.UTC().Format(time.DateTime), v.Kind, v.words(), string(v.Coin), orDash(v.Amount), orDash(v.Fee),
				orDash(v.Net), orDash(v.To), orDash(v.TxID), string(v.ID)})
		}
		if c.JSON {
			return e.json(all)
		}
		return e.table(rows)
	})
}

type walletCancelCommand struct {
	Merchant string `arg:"" help:"Id of the merchant."`
	ID       string `arg:"" help:"Id of the withdrawal."`
	JSON     bool   `help:"Answer in JSON."`
}

func (c walletCancelCommand) Run(e *env) error {
	return e.withDesk(func(a *app.App) error {
		p, err := a.Desk.CancelWithdrawal(e.ctx, merchantID(c.Merchant), merchantID(c.ID))
		if err != nil {
			return err
		}
		if c.JSON {
			return e.json(payoutView(p))
		}
		_, err = fmt.Fprintf(e.stdout, "withdrawal %s is cancelled, and %s are free again\n", p.ID, p.Amount)
		return err
	})
}
