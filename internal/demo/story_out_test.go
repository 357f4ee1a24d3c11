package demo_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
)

// The steps of stories about money out. What PIPE says of a payout is compared with what the chain holds at the address.

// away is what a story keeps of money out.
type away struct {
	settle    map[string]string   // settlement address by coin
	withdrawn map[string]string   // payout by the name that the story gave it
	noted     map[string]*big.Rat // balance of the wallet by coin
	fees      map[string]string   // factors in force
}

func newAway() away {
	return away{settle: map[string]string{}, withdrawn: map[string]string{}, noted: map[string]*big.Rat{}, fees: map[string]string{}}
}

// freshAddress is an address that nobody has used.
func freshAddress(coin string) (string, error) {
	hash := make([]byte, 20)
	if _, err := rand.Read(hash); err != nil {
		return "", err
	}
	if coin == "ETH" {
		return "0x" + hex.EncodeToString(hash), nil
	}
	a, err := address.NewAddressWitnessPubKeyHash(hash, &chaincfg.RegressionNetParams)
	if err != nil {
		return "", err
	}
	return a.EncodeAddress(), nil
}

// look reads what a control endpoint answers to GET.
func (s *stage) look(path string, q url.Values, v any) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.ready.ControlURL+path+"?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, b)
	}
	return json.Unmarshal(b, v)
}

type payout struct {
	ID        string `json:"payout_id"`
	InvoiceID string `json:"invoice_id"`
	Kind      string `json:"kind"`
	Coin      string `json:"coin"`
	State     string `json:"state"`
	Held      string `json:"held"`
	Reason    string `json:"fail_reason"`
	To        string `json:"to"`
	Amount    string `json:"amount"`
	Fee       string `json:"fee"`
	Net       string `json:"net"`
	Spend     string `json:"spend_id"`
	TxID      string `json:"txid"`
}

func (s *story) payouts() (all []payout, err error) {
	err = s.look("/payouts", nil, &all)
	return all, err
}

// owed is the newest payout of a kind for an invoice, or the withdrawal of that name.
func (s *story) owed(name, kind string) (payout, error) {
	all, err := s.payouts()
	if err != nil {
		return payout{}, err
	}
	for _, p := range all {
		if i, ok := s.invoices[name]; p.Kind == kind && (ok && p.InvoiceID == i.id || p.ID == s.away.withdrawn[name]) {
			return p, nil
		}
	}
	return payout{}, fmt.Errorf("%s has no payout of kind %s", name, kind)
}

// settle COIN new|none|ADDRESS: where settlements go
func (s *story) settle(args []string) (err error) {
	to := args[1]
	switch to {
	case "none":
		to = ""
	case "new":
		if to, err = freshAddress(args[0]); err != nil {
			return err
		}
	}
	s.away.settle[args[0]] = to
	_, err = s.control("/settlement", map[string]any{"coin": args[0], "address": to})
	return err
}

// refund NAME [CODE [STATUS]]: what the shop asks, and what it is answered: the code, and of 4090 the status of the refund that
// stands in the way
func (s *story) refund(args []string) error {
	want := "1"
	if len(args) > 1 {
		want = args[1]
	}
	code, data, err := s.askRefund(s.invoices[args[0]])
	if err != nil {
		s.unanswered = s.invoices[args[0]]
		return s.unlessHit(err)
	}
	if code != want {
		return fmt.Errorf("answers %s, want %s: %v", code, want, data)
	}
	if len(args) > 2 && fmt.Sprint(data["status"]) != args[2] {
		return fmt.Errorf("shows a refund of status %v, want %s", data["status"], args[2])
	}
	return nil
}

func (s *story) askRefund(i *invoice) (code string, data map[string]any, err error) {
	form := url.Values{"api_key": {s.ready.APIKey}, "invoice_id": {i.id}, "callback_url": {s.ready.ShopURL + "/callback"}}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.ready.URL+"/api/v1/invoice/refund", strings.NewReader(form.Encode()))
	if err != nil {
		return "", nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", nil, err
	}
	var answer struct {
		Code json.Number    `json:"code"`
		Data map[string]any `json:"data"`
	}
	err = errors.Join(json.NewDecoder(resp.Body).Decode(&answer), resp.Body.Close())
	return answer.Code.String(), answer.Data, err
}

// doubleclick NAME TIMES: so many requests at once make one refund
func (s *story) doubleClick(args []string) error {
	times, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	var mu sync.Mutex
	codes, errs := map[string]int{}, []error{}
	var wg sync.WaitGroup
	for range times {
		wg.Go(func() {
			for {
				code, _, err := s.askRefund(s.invoices[args[0]])
				if code == "4290" { // too many at once: a shop tries again
					time.Sleep(200 * time.Millisecond)
					continue
				}
				mu.Lock()
				codes[code]++
				errs = append(errs, err)
				mu.Unlock()
				return
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if codes["1"] != 1 || codes["4090"] != times-1 {
		return fmt.Errorf("%d requests at once are answered %v", times, codes)
	}
	all, err := s.payouts()
	n := 0
	for _, p := range all {
		if p.InvoiceID == s.invoices[args[0]].id && p.Kind == "asked" {
			n++
		}
	}
	if err == nil && n != 1 {
		err = fmt.Errorf("%d refunds", n)
	}
	return err
}

type refundTold struct {
	id   string
	Code int `json:"code"`
	Data struct {
		RefundID  string `json:"refund_id"`
		InvoiceID string `json:"invoice_id"`
		OrderID   string `json:"order_id"`
		Amount    string `json:"refund_amount"`
		Fee       string `json:"refund_network_fee"`
		TxID      string `json:"transaction_address"`
		Address   string `json:"refund_address"`
		Status    int    `json:"status"`
		Reason    string `json:"fail_reason"`
		Completed int64  `json:"complete_time"`
	} `json:"data"`
}

// refundsTold are the callbacks about refunds of an invoice, each once, in the order they came.
func (s *story) refundsTold(i *invoice) (told []refundTold, err error) {
	all, err := s.callbacks(i.order)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, c := range all {
		t := refundTold{id: c.Headers["webhook-id"]}
		if err := json.Unmarshal([]byte(c.Body), &t); err != nil {
			return nil, err
		}
		if t.Data.RefundID == "" || seen[t.id] {
			continue
		}
		seen[t.id] = true
		told = append(told, t)
	}
	return told, nil
}

// refunded NAME STATUS…: the callbacks about its refunds, in order
func (s *story) refunded(args []string) error {
	i := s.invoices[args[0]]
	return eventually(func() error {
		told, err := s.refundsTold(i)
		if err != nil {
			return err
		}
		var is []string
		for _, t := range told {
			is = append(is, strconv.Itoa(t.Data.Status))
			if t.Code != 1 || t.Data.InvoiceID != i.id || t.Data.OrderID != i.order {
				return fmt.Errorf("callback %+v is of another invoice", t)
			}
			if (t.Data.Status == 4) != (t.Data.Reason != "") {
				return fmt.Errorf("callback of status %d has fail_reason %q", t.Data.Status, t.Data.Reason)
			}
			if sent := t.Data.Status == 2 || t.Data.Status == 3; sent && (len(t.Data.TxID) != 64 || t.Data.Amount == "" || t.Data.Fee == "") {
				return fmt.Errorf("callback of status %d has txid %q, amount %q, fee %q", t.Data.Status, t.Data.TxID, t.Data.Amount, t.Data.Fee)
			}
		}
		if !slices.Equal(is, args[1:]) {
			return fmt.Errorf("callbacks tell of statuses %v", is)
		}
		return nil
	})
}

// owes NAME KIND STATE[/HOLD] [as TX]: how far the newest payout of a kind is; "sent" is paying, with a transaction sent; "none"
// is that there is none
func (s *story) owes(args []string) error {
	state, hold, held := strings.Cut(args[2], "/")
	return eventually(func() error {
		p, err := s.owed(args[0], args[1])
		if state == "none" {
			if err == nil {
				err = fmt.Errorf("has %+v", p)
			} else {
				err = nil
			}
			return err
		}
		if err != nil {
			return err
		}
		ok := p.State == state || state == "sent" && p.State == "paying" && p.TxID != ""
		if !ok || held && p.Held != hold {
			return fmt.Errorf("is %s/%s %s", p.State, p.Held, p.Reason)
		}
		if len(args) == 5 && args[3] == "as" {
			if p.TxID == "" {
				return errors.New("has no transaction yet")
			}
			s.txs[args[4]] = p.TxID
		}
		return nil
	})
}

// finish NAME KIND [SHARE]: mines until the payout is done, and checks it to the last unit
func (s *story) finish(args []string) error {
	var next time.Time
	err := eventually(func() error {
		p, err := s.owed(args[0], args[1])
		if err != nil {
			return err
		}
		if p.State == "done" {
			return nil
		}
		if p.State == "failed" {
			return fmt.Errorf("failed: %s", p.Reason)
		}
		if busy, err := s.busy(p.Coin); err != nil {
			return err
		} else if busy && time.Now().After(next) {
			if _, err := s.control("/mine", map[string]any{"coin": p.Coin, "blocks": 1}); err != nil {
				return err
			}
			next = time.Now().Add(300 * time.Millisecond)
		}
		return fmt.Errorf("is %s/%s %s", p.State, p.Held, p.TxID)
	})
	if err != nil {
		return err
	}
	return s.paid(args)
}

// busy tells whether a payout of a coin waits for blocks: the one that is meant, or one that it waits for.
func (s *story) busy(coin string) (bool, error) {
	all, err := s.payouts()
	return slices.ContainsFunc(all, func(p payout) bool { return p.Coin == coin && p.State == "paying" && p.TxID != "" }), err
}

// bumped NAME KIND TX: a dearer version than that transaction was sent
func (s *story) bumped(args []string) error {
	return eventually(func() error {
		p, err := s.owed(args[0], args[1])
		if err == nil && (p.TxID == "" || p.TxID == s.txs[args[2]]) {
			err = fmt.Errorf("is still %s", p.TxID)
		}
		return err
	})
}

func rat(text string) (*big.Rat, error) {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil, fmt.Errorf("%q is no amount", text)
	}
	return r, nil
}

// paid NAME KIND [SHARE]: the payout is done: what is owed is what arrived and the fee, to the last unit, and the chain holds at
// the address just what all done payouts brought there. What is owed is the share of what was due, else all that came.
func (s *story) paid(args []string) error {
	return eventually(func() error {
		p, err := s.owed(args[0], args[1])
		if err != nil {
			return err
		}
		if p.State != "done" {
			return fmt.Errorf("is %s/%s %s", p.State, p.Held, p.Reason)
		}
		if err := s.exact(p); err != nil {
			return err
		}
		i, ok := s.invoices[args[0]]
		if !ok {
			return nil
		}
		want := ""
		if len(args) > 2 {
			want, err = amount(i, args[2])
		} else {
			var v map[string]any
			v, err = s.get(i)
			want = fmt.Sprint(v["deposit_amount"])
		}
		if err == nil && p.Amount != want {
			err = fmt.Errorf("pays %s, want %s", p.Amount, want)
		}
		return err
	})
}

// exact compares a done payout with itself and with the chain.
func (s *story) exact(p payout) error {
	sum, err := rat(p.Net)
	if err != nil {
		return err
	}
	fee, err := rat(p.Fee)
	if err != nil {
		return err
	}
	amount, err := rat(p.Amount)
	if err != nil {
		return err
	}
	if new(big.Rat).Add(sum, fee).Cmp(amount) != 0 {
		return fmt.Errorf("amount %s is not what arrived, %s, and the fee, %s", p.Amount, p.Net, p.Fee)
	}
	if p.To == "" {
		return nil // it stayed in the wallet
	}
	all, err := s.payouts()
	if err != nil {
		return err
	}
	brought := new(big.Rat)
	for _, o := range all {
		if o.To == p.To && o.State == "paying" && o.TxID != "" { // of another story: a block may hold it already
			if err := s.mine([]string{p.Coin, "2"}); err != nil {
				return err
			}
			return fmt.Errorf("another payout to %s is under way", o.To)
		}
		if o.To != p.To || o.State != "done" {
			continue
		}
		net, err := rat(o.Net)
		if err != nil {
			return err
		}
		brought.Add(brought, net)
	}
	has, err := s.balance(p.Coin, p.To)
	if err != nil {
		return err
	}
	if has.Cmp(brought) != 0 {
		return fmt.Errorf("the chain holds %s at %s, payouts brought %s", has.FloatString(18), p.To, brought.FloatString(18))
	}
	return nil
}

func (s *story) balance(coin, address string) (*big.Rat, error) {
	var b struct {
		Amount string `json:"amount"`
	}
	if err := s.look("/balance", url.Values{"coin": {coin}, "address": {address}}, &b); err != nil {
		return nil, err
	}
	return rat(b.Amount)
}

// together NAME NAME … : their settlements are one transaction
func (s *story) together(args []string) error {
	first, err := s.owed(args[0], "settlement")
	if err != nil {
		return err
	}
	for _, name := range args[1:] {
		p, err := s.owed(name, "settlement")
		if err != nil {
			return err
		}
		if p.TxID == "" || p.TxID != first.TxID {
			return fmt.Errorf("%s is settled by %s, %s by %s", args[0], first.TxID, name, p.TxID)
		}
	}
	return nil
}

// evict COIN TX: the node forgets it
func (s *story) evict(args []string) error {
	_, err := s.control("/evict", map[string]any{"coin": args[0], "txid": s.txs[args[1]]})
	return err
}

// fail COIN MODE: what goes wrong with the next send
func (s *story) fail(args []string) error {
	_, err := s.control("/fail-next-send", map[string]any{"coin": args[0], "mode": args[1]})
	return err
}

// fee COIN FACTOR: fees so many times the ordinary ones
func (s *story) fee(args []string) error {
	factor, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	s.away.fees[args[0]] = args[1]
	_, err = s.control("/fees", map[string]any{"coin": args[0], "factor": factor})
	return err
}

// with KEY=VALUE …: started again with these settings, which last to the end of the story
func (s *story) with(args []string) error {
	s.stop(15)
	s.set = args
	s.start()
	return s.afterStart()
}

// afterStart tells the shop what it forgot when it ended.
func (s *story) afterStart() error { return s.shop(s.answer) }

// wallet COIN note | same | +NAME | -NAME: the merchant's PIPE wallet, and by what it changed since it was noted: by all that came
// for an invoice, or by what its refund cost
func (s *story) wallet(args []string) error {
	coin, how := args[0], args[1]
	return eventually(func() error {
		has, err := s.walletHas(coin)
		if err != nil {
			return err
		}
		if how == "note" {
			s.away.noted[coin] = has
			return nil
		}
		want := new(big.Rat).Set(s.away.noted[coin])
		switch how[0] {
		case '+':
			v, err := s.get(s.invoices[how[1:]])
			if err != nil {
				return err
			}
			came, err := rat(fmt.Sprint(v["deposit_amount"]))
			if err != nil {
				return err
			}
			want.Add(want, came)
		case '-':
			p, err := s.owed(how[1:], "asked")
			if err != nil {
				return err
			}
			cost, err := rat(p.Amount)
			if err != nil {
				return err
			}
			want.Sub(want, cost)
		}
		if has.Cmp(want) != 0 {
			return fmt.Errorf("the wallet holds %s, want %s", has.FloatString(18), want.FloatString(18))
		}
		return nil
	})
}

func (s *story) walletHas(coin string) (*big.Rat, error) {
	var all []struct{ Coin, Balance string }
	if err := s.look("/wallet", nil, &all); err != nil {
		return nil, err
	}
	for _, w := range all {
		if w.Coin == coin {
			return rat(w.Balance)
		}
	}
	return nil, fmt.Errorf("no wallet of %s", coin)
}

// float COIN AMOUNT: coins from outside come to the PIPE wallet, deep enough
func (s *story) float(args []string) error {
	before, err := s.walletHas(args[0])
	if err != nil {
		return err
	}
	v, err := s.control("/receive", map[string]any{"coin": args[0]})
	if err != nil {
		return err
	}
	if _, err := s.control("/pay", map[string]any{"coin": args[0], "address": v["address"], "amount": args[1]}); err != nil {
		return err
	}
	if _, err := s.control("/mine", map[string]any{"coin": args[0], "blocks": 12}); err != nil {
		return err
	}
	more, err := rat(args[1])
	if err != nil {
		return err
	}
	more.Add(more, before)
	return eventually(func() error {
		if has, err := s.walletHas(args[0]); err != nil || has.Cmp(more) != 0 {
			return errors.Join(err, fmt.Errorf("the wallet does not hold %s", more.FloatString(18)))
		}
		return nil
	})
}

// withdraw NAME COIN AMOUNT|all: from the PIPE wallet to a fresh address
func (s *story) withdraw(args []string) error {
	to, err := freshAddress(args[1])
	if err != nil {
		return err
	}
	v, err := s.control("/withdraw", map[string]any{"coin": args[1], "address": to, "amount": args[2]})
	if err == nil {
		s.away.withdrawn[args[0]] = fmt.Sprint(v["payout_id"])
	}
	return err
}
