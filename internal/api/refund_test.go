package api

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

const refundTo = "0x71a4A8c7286e048eb2E4dAE3bD8EACe119C56076"

// pay makes an invoice paid in ETH, as if its coins had come, and then changes it.
func (r *rig) pay(id payment.ID, change func(*payment.Invoice)) {
	r.t.Helper()
	r.choose(id, "0xe7EE045db39A13ad577E0E50F2A5255eB5e031dD")
	err := r.store.Update(context.Background(), func(tx engine.Tx) error {
		i, err := tx.Invoice(id)
		if err != nil {
			return err
		}
		i.Told.Status, i.Told.Deposit = payment.Paid, payment.Deposited
		i.Told.DepositedAt = tx.Now().UnixMilli()
		if change != nil {
			change(&i)
		}
		switch i.Told.Status {
		case payment.Paid, payment.Refunded:
			i.Told.PaidAt = tx.Now().UnixMilli()
		case payment.Expired:
			i.Told.ExpiredAt = tx.Now().UnixMilli()
		case payment.Waiting:
		}
		return tx.SwapInvoice(i)
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// refund is the refund that was asked for of an invoice.
func (r *rig) refund(id payment.ID) payment.Payout {
	r.t.Helper()
	var p payment.Payout
	err := r.store.View(context.Background(), func(tx engine.Tx) error {
		f, err := tx.Facts(id)
		p, _ = f.Asked()
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

// move changes a payout as its payer would.
func (r *rig) move(p payment.Payout, change func(*payment.Payout)) {
	r.t.Helper()
	err := r.store.Update(context.Background(), func(tx engine.Tx) error {
		now, err := tx.Payout(p.ID)
		if err != nil {
			return err
		}
		change(&now)
		now.UpdatedAt = tx.Now()
		if now.State == payment.PayoutDone || now.State == payment.PayoutFailed {
			now.DoneAt = tx.Now()
		}
		return tx.SwapPayout(now)
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) askRefund(id string, more ...string) reply {
	r.t.Helper()
	return r.post(refundPath, urlencoded, url.Values{"api_key": {r.app.Key}, "invoice_id": {id}, "callback_url": {r.shop.URL + "/refunded"}}.Encode(), more...)
}

// The whole way of a refund as the call shows it, with the raw texts.
func TestRefund(t *testing.T) {
	r := newRig(t, rigOptions{})
	id := r.create("refund_address", refundTo)
	for _, c := range []struct {
		status payment.Status
		says   string
	}{{payment.Waiting, "not paid yet"}, {payment.Expired, "expired"}, {payment.Refunded, "is refunded"}} {
		other := r.create()
		r.pay(payment.ID(other), func(i *payment.Invoice) { i.Told.Status = c.status })
		a := r.askRefund(other)
		a.want(t, 4090, "")
		if !strings.Contains(a.msg, c.says) || len(a.data) != 1 {
			t.Errorf("status %d: %s", c.status, a.raw)
		}
	}
	reversed := r.create()
	r.pay(payment.ID(reversed), func(i *payment.Invoice) { i.Told.Marks |= payment.MarkReversed })
	if a := r.askRefund(reversed); a.code != "4090" || !strings.Contains(a.msg, "frozen") {
		t.Errorf("reversed: %s", a.raw)
	}

	r.pay(payment.ID(id), nil)
	a := r.askRefund(id)
	a.want(t, 1, "")
	p := r.refund(payment.ID(id))
	wantRaw(t, "refund", a.raw, fmt.Sprintf(`{"code":1,"message":"success","data":{"refund_id":%q,"invoice_id":%q,"create_time":%d}}`, p.ID, id, p.CreatedAt.Unix()))
	if p.To != refundTo || p.Network != "ethereum/1337" || p.State != payment.PayoutWaiting || p.CallbackURL != r.shop.URL+"/refunded" || !p.Amount.IsZero() {
		t.Errorf("refund %+v", p)
	}
	times := fmt.Sprintf(`"create_time":%d,"create_date":%[1]d,"update_time":U,"update_date":U,`, p.CreatedAt.Unix())
	there := func(name, want string) {
		t.Helper()
		a := r.askRefund(id)
		a.want(t, 4090, "")
		now := r.refund(payment.ID(id))
		times := strings.ReplaceAll(times, "U", fmt.Sprint(now.UpdatedAt.Unix()))
		wantRaw(t, name, a.raw, `{"code":4090,"message":"a refund of this invoice was asked for before: data tells which","data":{"request_id":"`+a.header.Get("X-Request-Id")+
			`","refund_id":"`+string(p.ID)+`","invoice_id":"`+id+`","order_id":"test_order_id","order_name":"test_order_id","price_currency":"USD","price":12.34,`+
			`"coin_currency":"ETH","coin_amount":"0.00617","deposit_address":"0xe7EE045db39A13ad577E0E50F2A5255eB5e031dD",`+strings.Replace(want, "TIMES", times, 1)+`}}`)
	}
	there("again", `"refund_amount":"","refund_network_fee":"","transaction_address":"","refund_address":"`+refundTo+`","status":1,"fail_reason":"",TIMES"transaction_date":0,"complete_date":0`)
	hash := strings.Repeat("e9b8c0aa78d3fd59", 4)
	r.move(p, func(p *payment.Payout) {
		p.State, p.SpendID, p.TxID, p.SentAt = payment.PayoutPaying, p.ID, "0x"+hash, p.CreatedAt
		p.Amount, p.Fee, p.Net = money.Of(money.ETH, 6_170_000_000_000_000), money.Of(money.ETH, 4_200_000_000_000), money.Of(money.ETH, 6_165_800_000_000_000)
	})
	paying := `"refund_amount":"0.0061658","refund_network_fee":"0.0000042","transaction_address":"` + hash + `","refund_address":"` + refundTo +
		`","status":%d,"fail_reason":"",TIMES"transaction_date":` + fmt.Sprint(p.CreatedAt.Unix())
	there("in progress", fmt.Sprintf(paying, 2)+`,"complete_date":0`)
	r.move(p, func(p *payment.Payout) { p.State = payment.PayoutDone })
	there("done", fmt.Sprintf(paying, 3)+`,"complete_date":`+fmt.Sprint(r.refund(payment.ID(id)).DoneAt.Unix()))
	ko := r.askRefund(id, "Accept-Language", "ko")
	if ko.code != "4090" || !hasHangul(ko.msg) || ko.header.Get("Content-Language") != "ko" || ko.data["refund_id"] != string(p.ID) {
		t.Errorf("in Korean: %s", ko.raw)
	}
}

// After a refund that failed another may be asked for; a fresh call of the first one's key still answers the first.
func TestRefundAgain(t *testing.T) {
	r := newRig(t, rigOptions{})
	id := r.create()
	r.pay(payment.ID(id), nil)
	first := r.askRefund(id, "Idempotency-Key", "one")
	first.want(t, 1, "")
	if again := r.askRefund(id, "Idempotency-Key", "one"); string(again.raw) != string(first.raw) {
		t.Errorf("%s, then %s", first.raw, again.raw)
	}
	r.askRefund(id, "Idempotency-Key", "two").want(t, 4090, "")
	js := fmt.Sprintf(`{"api_key":%q,"invoice_id":%q,"callback_url":null}`, r.app.Key, id)
	r.post(refundPath, "application/json", js, "Idempotency-Key", "one").want(t, 4091, "Idempotency-Key")
	r.askRefund(id, "Idempotency-Key", "").want(t, 4001, "Idempotency-Key")
	r.askRefund(id, "Idempotency-Key", strings.Repeat("x", 256)).want(t, 4001, "Idempotency-Key")

	r.move(r.refund(payment.ID(id)), func(p *payment.Payout) {
		p.State, p.FailReason = payment.PayoutFailed, "the deposit is smaller than the network fee"
	})
	if again := r.askRefund(id, "Idempotency-Key", "one"); string(again.raw) != string(first.raw) {
		t.Errorf("%s, then %s", first.raw, again.raw)
	}
	second := r.post(refundPath, "application/json", js, "Idempotency-Key", "two")
	second.want(t, 1, "")
	if second.data["refund_id"] == first.data["refund_id"] || second.data["refund_id"] != string(r.refund(payment.ID(id)).ID) || r.refund(payment.ID(id)).CallbackURL != "" {
		t.Errorf("%s", second.raw)
	}
	// A key of a create is no key of a refund.
	create := r.post(createPath, urlencoded, r.good().Encode(), "Idempotency-Key", "one")
	create.want(t, 4091, "Idempotency-Key")
}

// All encodings are equal, and 1,000 calls at once, of every encoding, make one refund.
func TestRefundEncodingsAndRush(t *testing.T) {
	r := newRig(t, rigOptions{})
	call := func(kind int, id string) reply {
		t.Helper()
		cb := r.shop.URL + "/refunded"
		switch kind {
		case 0:
			return r.post(refundPath, urlencoded, url.Values{"api_key": {r.app.Key}, "invoice_id": {strings.ToLower(id)}, "callback_url": {cb}}.Encode())
		case 1:
			return r.post(refundPath, "application/json", fmt.Sprintf(`{"invoice_id":%q,"callback_url":%q,"more":[1]}`, id, cb), "Authorization", "Bearer "+r.app.Key)
		case 2:
			body := ""
			for _, f := range [][2]string{{"api_key", r.app.Key}, {"invoice_id", id}, {"callback_url", cb}} {
				body += "--b\r\nContent-Disposition: form-data; name=\"" + f[0] + "\"\r\n\r\n" + f[1] + "\r\n"
			}
			return r.post(refundPath, "multipart/form-data; boundary=b", body+"--b--\r\n")
		}
		return r.post(refundPath, "multipart/form-data", fmt.Sprintf(`{"api_key"=>%s,"invoice_id"=>%q,"callback_url"=>%s}`, r.app.Key, id, cb))
	}
	for kind := range 4 {
		id := r.create()
		r.pay(payment.ID(id), nil)
		call(kind, id).want(t, 1, "")
		if p := r.refund(payment.ID(id)); p.CallbackURL != r.shop.URL+"/refunded" {
			t.Errorf("encoding %d: %+v", kind, p)
		}
	}
	id := r.create()
	r.pay(payment.ID(id), nil)
	const calls, parallel = 1000, 100
	var mu sync.Mutex
	codes, ids := map[string]int{}, map[any]int{}
	next := make(chan int)
	var all sync.WaitGroup
	for range parallel {
		all.Go(func() {
			for n := range next {
				a := call(n%4, id)
				mu.Lock()
				codes[a.code]++
				ids[a.data["refund_id"]]++
				mu.Unlock()
			}
		})
	}
	for n := range calls {
		next <- n
	}
	close(next)
	all.Wait()
	if codes["1"] != 1 || codes["4090"] != calls-1 || ids[string(r.refund(payment.ID(id)).ID)] != calls {
		t.Errorf("answers %v, refunds %v", codes, ids)
	}
}

// A key may be kept from asking for refunds, and from nothing else.
func TestRefundScope(t *testing.T) {
	r := newRig(t, rigOptions{})
	less, err := r.desk.AddKey(context.Background(), r.app.ID, true)
	if err != nil {
		t.Fatal(err)
	}
	full, err := r.desk.AddKey(context.Background(), r.app.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	id := r.create()
	r.pay(payment.ID(id), nil)
	body := func(key string) string { return "api_key=" + key + "&invoice_id=" + id }
	for _, lang := range []string{"en", "ko"} {
		a := r.post(refundPath, urlencoded, body(less), "Accept-Language", lang)
		a.want(t, 4032, "")
		if hasHangul(a.msg) != (lang == "ko") {
			t.Errorf("%s: %s", lang, a.msg)
		}
	}
	for _, path := range []string{getPath, testPath} {
		r.post(path, urlencoded, body(less)).want(t, 1, "")
	}
	if p := r.refund(payment.ID(id)); p.ID != "" {
		t.Errorf("asked for all the same: %+v", p)
	}
	r.post(refundPath, urlencoded, body(full)).want(t, 1, "")
	for range payment.MaxKeys - 3 {
		if _, err := r.desk.AddKey(context.Background(), r.app.ID, true); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.desk.AddKey(context.Background(), r.app.ID, true); err == nil {
		t.Error("keys without end")
	}
}

func TestRefundURLs(t *testing.T) {
	r := newRig(t, rigOptions{})
	id := r.create()
	r.pay(payment.ID(id), nil)
	for u, code := range badURLs(r.shop.URL) {
		if u == "" {
			continue
		}
		r.post(refundPath, urlencoded, url.Values{"api_key": {r.app.Key}, "invoice_id": {id}, "callback_url": {u}}.Encode()).want(t, code, "callback_url")
	}
	if p := r.refund(payment.ID(id)); p.ID != "" {
		t.Errorf("refused calls left %+v", p)
	}
	r.post(refundPath, urlencoded, "api_key="+r.app.Key+"&invoice_id="+id+"&callback_url=").want(t, 1, "")
}
