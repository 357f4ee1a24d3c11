package admin

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

const testNet money.Network = "ethereum/1337"

// shopRig has a shop with an application and a network to pay on.
type shopRig struct {
	*rig
	app payment.Application
}

func newShopRig(t *testing.T) *shopRig {
	t.Helper()
	g := &shopRig{rig: newRig(t, func(o *Options) {
		o.Explain = func(verdict, language string) string { return "explained " + verdict + " in " + language }
		o.Explorers = map[money.Network]string{testNet: "https://explorer.example/tx/{txid}"}
		o.Desk.Nets = map[money.Currency]engine.Net{money.ETH: {Network: testNet, Accounts: true, ParseAddress: func(text string) (string, error) {
			if !regexp.MustCompile(`^0x[0-9a-fA-F]{40}$`).MatchString(text) {
				return "", errors.New("is no address of Ethereum")
			}
			return strings.ToLower(text), nil
		}}}
		o.Desk.Fees = map[money.Network]engine.FeeReader{testNet: fees{}}
	})}
	g.app = g.application(g.shop.ID, "Main shop")
	return g
}

// fees are what payouts cost in the tests.
type fees struct{}

func (fees) Fees(ctx context.Context) (chain.Fees, error) {
	return chain.Fees{Plain: eth("0.001"), Least: eth("0")}, nil
}

func eth(text string) money.Amount {
	a, err := money.Parse(money.ETH, text)
	if err != nil {
		panic(err)
	}
	return a
}

func (g *rig) application(merchant payment.ID, name string) (a payment.Application) {
	g.t.Helper()
	g.update(func(tx tx) error {
		a = payment.Application{
			ID: tx.NewID(), MerchantID: merchant, Name: name, Settings: payment.DefaultSettings(), Coins: []money.Currency{money.ETH},
			Networks:  []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")},
			Callback:  payment.CallbackSettings{Encoding: payment.EncodingForm, Secrets: []payment.Secret{{Sealed: []byte("x")}}},
			CreatedAt: tx.Now(), UpdatedAt: tx.Now(),
		}
		return tx.AddApplication(a)
	})
	return a
}

func (g *rig) update(fn func(tx tx) error) {
	g.t.Helper()
	if err := g.store.Update(g.t.Context(), fn); err != nil {
		g.t.Fatal(err)
	}
}

// invoice is one of an application, changed before it is stored.
func (g *rig) invoice(a payment.Application, order string, change func(*payment.Invoice)) (i payment.Invoice) {
	g.t.Helper()
	g.update(func(tx tx) error {
		price := money.Of(money.KRW, 10_500)
		i = payment.Invoice{
			ID: tx.NewID(), ApplicationID: a.ID, MerchantID: a.MerchantID, OrderID: order, OrderName: "티셔츠", Price: price,
			Language: payment.Korean, CallbackURL: "https://shop.example/cb", OpenType: payment.OpenRedirect,
			Policy: a.Settings.Freeze(price), Coins: a.Coins, CreatedAt: tx.Now(), UpdatedAt: tx.Now(),
			Told: payment.Told{Status: payment.Waiting, Deadline: tx.Now().Add(time.Hour).UnixMilli()},
		}
		if change != nil {
			change(&i)
		}
		if err := tx.AddInvoice(i); err != nil {
			return err
		}
		return tx.AddEvent(payment.Event{ID: tx.NewID(), InvoiceID: i.ID, Kind: payment.EventCreated, At: tx.Now()})
	})
	g.pass(time.Second)
	return i
}

// paid is a paid invoice with its quote, its deposit and a callback that failed once.
func (g *rig) paid(a payment.Application, order string) payment.Invoice {
	g.t.Helper()
	rate, err := money.ParseRate(money.ETH, money.KRW, "5000000")
	if err != nil {
		g.t.Fatal(err)
	}
	var quote payment.ID
	g.update(func(tx tx) error { quote = tx.NewID(); return nil })
	i := g.invoice(a, order, func(i *payment.Invoice) {
		i.Told.Status, i.Told.Deposit, i.Told.QuoteID = payment.Paid, payment.Deposited, quote
		i.Told.PaidAt, i.Told.DepositedAt = g.clock().UnixMilli(), g.clock().UnixMilli()
		i.Told.Confirmed, i.Told.Seen = eth("0.0021").Units(), eth("0.0021").Units()
		i.Refunds = map[money.Currency]payment.RefundAddress{money.ETH: {Address: "0x" + strings.Repeat("b", 40)}}
	})
	address := "0x" + string(i.ID[24:])
	g.update(func(tx tx) error {
		err := tx.AddAddresses([]payment.Address{{Network: testNet, Address: strings.ToLower(address), MerchantID: a.MerchantID,
			Index: uint32(g.clock().Unix() & 0x7fffffff), State: payment.AddressFree, ReleasedAt: tx.Now(), Balance: eth("0"), Wallet: eth("0")}})
		if err != nil {
			return err
		}
		if _, err := tx.GiveAddress(engine.GiveAddress{Merchant: a.MerchantID, Network: testNet, Invoice: i.ID, HotUntil: tx.Now()}); err != nil {
			return err
		}
		err = tx.AddQuote(payment.Quote{ID: quote, InvoiceID: i.ID, Coin: money.ETH, Network: testNet, Address: address, Rate: rate, Due: eth("0.0021"),
			Votes:  []payment.Vote{{Source: "upbit", Value: "5000000", At: tx.Now(), Counted: true}, {Source: "korbit", Value: "1", At: tx.Now()}},
			Window: time.Hour, CreatedAt: tx.Now(), Deadline: tx.Now().Add(time.Hour)})
		if err != nil {
			return err
		}
		if err := tx.SwapInvoice(i); err != nil { // now that there is a quote
			return err
		}
		err = tx.AddDeposit(payment.Deposit{ID: tx.NewID(), InvoiceID: i.ID, Account: ledger.Invoice(string(i.ID)), Network: testNet, Ref: "0xabc" + string(i.ID[30:]) + ":0",
			Address: address, Amount: eth("0.0021"), TxID: "0xabc" + strings.ToLower(string(i.ID[30:])), State: payment.Confirmed, Turn: 1, SeenAt: tx.Now(),
			Height: 7, BlockHash: "0xhash", BlockTime: tx.Now()})
		if err != nil {
			return err
		}
		id := tx.NewID()
		_, err = tx.AddCallback(payment.Callback{ID: id, InvoiceID: i.ID, ApplicationID: a.ID, URL: "https://shop.example/cb", Origin: "https://shop.example",
			Status: int(payment.Paid), Code: 1, ContentType: "application/json", Body: []byte(`{"code":1}`), State: payment.CallbackParked, Attempts: 1,
			CreatedAt: tx.Now(), DueAt: tx.Now(), DoneAt: tx.Now()})
		if err != nil {
			return err
		}
		return tx.AddAttempt(payment.Attempt{CallbackID: id, N: 1, At: tx.Now(), Took: 12 * time.Millisecond, HTTPStatus: 200, Verdict: "php-notice", Answer: []byte("\ufeffok<br>\x00Warning"),
			Sent: "Content-Type: application/json\nWebhook-Id: 1\nWebhook-Signature: v1,…", Headers: "Content-Type: text/html\nServer: <nginx>"})
	})
	g.pass(time.Second)
	return i
}

// TestPaymentsList: filters, counts, search and pages, and nothing of another merchant.
func TestPaymentsList(t *testing.T) {
	g := newShopRig(t)
	other, err := g.desk.AddMerchant(t.Context(), "Other")
	if err != nil {
		t.Fatal(err)
	}
	foreign := g.paid(g.application(other.ID, "Foreign"), "foreign-1")
	second := g.application(g.shop.ID, "Second shop")
	for n := range engine.PageRows + 3 {
		g.invoice(g.app, fmt.Sprintf("waits-%03d", n), nil)
	}
	late := g.invoice(second, "late-1", func(i *payment.Invoice) {
		i.Told.Status, i.Told.ExpiredAt, i.Told.Marks = payment.Expired, g.clock().UnixMilli(), payment.MarkLate
	})
	paid := g.paid(g.app, "paid-1")
	b := g.browser().login(ownerEmail)
	has := func(what, path string, in, out []string) {
		t.Helper()
		a := b.get(path)
		b.want(what, a, http.StatusOK, "")
		for _, text := range append(in, "<h1>Payments</h1>") {
			if !strings.Contains(a.body, text) {
				t.Errorf("%s: no %q in %s", what, text, a.body)
			}
		}
		for _, text := range append(out, "foreign-1") {
			if strings.Contains(a.body, text) {
				t.Errorf("%s: %q is there", what, text)
			}
		}
	}
	has("the first page", "/payments", []string{"paid-1", "late-1", "waits-052", "₩10,500", "Paid <strong>1<", "Waiting <strong>53<", "Expired <strong>1<", "Older"}, []string{"waits-001"})
	older := regexp.MustCompile(`/payments\?before=[0-9A-F]{64}`).FindString(b.get("/payments").body)
	has("the second page", older, []string{"waits-001", "Waiting <strong>53<"}, []string{"paid-1", "waits-052", "Older"})
	has("paid", "/payments?status=2", []string{"paid-1"}, []string{"waits-", "late-1"})
	has("late", "/payments?mark=late", []string{"late-1"}, []string{"waits-", "paid-1"})
	has("a coin", "/payments?coin=ETH", []string{"paid-1"}, []string{"waits-", "late-1"})
	has("an application", "/payments?app="+string(second.ID), []string{"late-1"}, []string{"waits-", "paid-1"})
	day := func(d time.Duration) string {
		return g.clock().Add(d).In(time.FixedZone("KST", 9*3600)).Format(time.DateOnly)
	}
	has("tomorrow", "/payments?from="+day(24*time.Hour), []string{"No payments match"}, []string{"waits-"})
	has("until today", "/payments?to="+day(0), []string{"paid-1"}, nil)
	has("until the day before yesterday", "/payments?to="+day(-48*time.Hour), nil, []string{"paid-1", "waits-"})
	has("an order", "/payments?q=late-1", []string{"late-1"}, []string{"waits-", "paid-1"})
	has("an id", "/payments?q="+strings.ToLower(string(late.ID)), []string{"/payments/" + string(late.ID)}, []string{"waits-"})
	has("a transaction", "/payments?q=0xABC"+string(paid.ID[30:]), []string{"paid-1"}, []string{"waits-"})
	has("an address", "/payments?q=0x"+string(paid.ID[24:]), []string{"/payments/" + string(paid.ID)}, []string{"waits-"})
	for _, q := range []string{"foreign-1x", string(foreign.ID), "0xabc" + string(foreign.ID[30:]), "0x" + string(foreign.ID[24:]), "%00", "'--"} {
		if a := b.get("/payments?q=" + q); a.code != http.StatusOK || strings.Contains(a.body, "/payments/"+string(foreign.ID)) {
			t.Errorf("a search for %q: %d", q, a.code)
		}
	}
	has("nonsense", "/payments?status=9&mark=x&coin=DOGE&app=zz&from=x&to=y&before=q", []string{"paid-1"}, nil)
	if a := b.get("/payments/" + string(foreign.ID)); a.code != http.StatusNotFound {
		t.Errorf("another merchant's invoice: %d", a.code)
	}
	b.want("Korean", b.get("/payments?lang=ko"), http.StatusOK, "")
}

// TestInvoicePage: everything that happened is there in its order, in both languages, and what was answered is shown.
func TestInvoicePage(t *testing.T) {
	g := newShopRig(t)
	i := g.paid(g.app, "paid-1")
	b := g.browser().login(ownerEmail)
	path := "/payments/" + string(i.ID)
	a := b.get(path)
	for _, text := range []string{"The payment was opened", "Price fixed", "5000000 KRW/ETH", "upbit 5000000", "Coins were seen", "In block 7", "Callback 1, try 1",
		"explained php-notice in en", "HTTP 200 · 12 ms", "‹FEFF›ok&lt;br&gt;‹0›Warning", "https://explorer.example/tx/0xabc", "0.0021 ETH", "webhook-id: "} {
		b.want("the story", a, http.StatusOK, text)
	}
	if strings.Contains(a.body, "korbit") {
		t.Error("a source that did not count is named as one of the rate")
	}
	opened, fixed, seen := strings.Index(a.body, "The payment was opened"), strings.Index(a.body, "Price fixed"), strings.Index(a.body, "Coins were seen")
	if opened > fixed || fixed > seen {
		t.Errorf("the order is %d, %d, %d", opened, fixed, seen)
	}
	b.language(payment.Korean)
	b.want("the story in Korean", b.get(path), http.StatusOK, "결제가 생성되었습니다")
}

// language sets the owner's.
func (b *browser) language(l payment.Language) {
	b.t.Helper()
	b.update(func(tx tx) error {
		u, err := tx.UserByEmail(ownerEmail)
		if err != nil {
			return err
		}
		u.Language = l
		return tx.SwapUser(u)
	})
}

// TestRefundButton: shown with what it comes to, confirmed by a second factor, written down, asked for once.
func TestRefundButton(t *testing.T) {
	g := newShopRig(t)
	i := g.paid(g.app, "paid-1")
	waits := g.invoice(g.app, "waits", nil)
	b := g.browser().login(ownerEmail)
	path := "/payments/" + string(i.ID) + "/refund"
	b.want("the button", b.get("/payments/"+string(i.ID)), http.StatusOK, path)
	b.want("the form", b.get(path), http.StatusOK, "0.0021 ETH")
	b.want("what arrives", b.get(path), http.StatusOK, "0.0011 ETH")
	b.want("without a second factor", b.post(path, nil), http.StatusForbidden, "Is it you?")
	b.stepUp()
	b.want("of one that is not paid", b.post("/payments/"+string(waits.ID)+"/refund", nil), http.StatusConflict, "is not paid yet")
	if a := b.post(path, nil); a.code != http.StatusSeeOther || a.location != "/payments/"+string(i.ID)+"?done=refund" {
		t.Fatalf("refund: %d %s", a.code, a.body)
	}
	b.want("twice", b.post(path, nil), http.StatusConflict, "asked for before")
	a := b.get("/payments/" + string(i.ID))
	b.want("the story", a, http.StatusOK, "Asked for a refund")
	b.want("who asked", a, http.StatusOK, ownerEmail)
	if strings.Contains(a.body, path) {
		t.Error("the button is still there")
	}
	view(t, g.rig, func(tx tx) error {
		f, err := tx.Facts(i.ID)
		if len(f.Payouts) != 1 || f.Payouts[0].Kind != payment.RefundAsked {
			t.Errorf("payouts: %+v", f.Payouts)
		}
		return err
	})
	viewer := g.user("viewer@shop.example", payment.Viewer)
	if a := g.browser().login(viewer.Email).get("/payments/" + string(i.ID)); strings.Contains(a.body, "Resend</button>") {
		t.Error("a viewer has buttons")
	}
}

// TestA6CallbackLog: each try with all that went and came, piles and verdicts, and sending again one, many, and those of some days, with
// the same id.
func TestA6CallbackLog(t *testing.T) {
	g := newShopRig(t)
	i := g.paid(g.app, "paid-1")
	for n := range 3 {
		g.paid(g.app, fmt.Sprint("more-", n))
	}
	b := g.browser().login(ownerEmail)
	b.want("failing", b.get("/callbacks"), http.StatusOK, "There is no callback here")
	a := b.get("/callbacks?pile=parked")
	b.want("parked", a, http.StatusOK, "explained php-notice in en")
	a = b.get("/payments/" + string(i.ID))
	for _, text := range []string{
		"https://shop.example/cb", "{&#34;code&#34;:1}", "Content-Type: application/json\nWebhook-Id: 1\nWebhook-Signature: v1,…", "Content-Type: text/html\nServer: &lt;nginx&gt;",
		"HTTP 200 · 12 ms", "‹FEFF›ok&lt;br&gt;‹0›Warning", "explained php-notice in en", "It is not tried again by itself", "webhook-id: ",
	} {
		b.want("a try", a, http.StatusOK, text)
	}
	callbacks := func() (all []payment.Callback) {
		view(t, g.rig, func(tx tx) (err error) { all, err = tx.Callbacks(i.ID, 9); return err })
		return all
	}
	was := callbacks()[0]
	path := "/callbacks/" + string(was.ID) + "/resend"
	if a := b.post(path, url.Values{"invoice": {string(i.ID)}}); a.code != http.StatusSeeOther || a.location != "/payments/"+string(i.ID)+"?done=resend" {
		t.Fatalf("resend: %d %q %s", a.code, a.location, a.body)
	}
	if is := callbacks()[0]; is.State != payment.CallbackOpen || is.ID != was.ID || is.Attempts != 1 || is.DueAt.After(g.clock()) || len(callbacks()) != 1 {
		t.Errorf("after the resend: %+v", is)
	}
	b.want("its story", b.get("/payments/"+string(i.ID)), http.StatusOK, "Sent a callback again")
	b.want("failing now", b.get("/callbacks"), http.StatusOK, "paid-1")
	b.want("its next try", b.get("/payments/"+string(i.ID)), http.StatusOK, "Next try")
	tomorrow := g.clock().Add(24 * time.Hour).In(time.FixedZone("KST", 9*3600)).Format(time.DateOnly)
	if a := b.post("/callbacks/resend", url.Values{"pile": {"parked"}, "from": {tomorrow}}); a.code != http.StatusSeeOther {
		t.Fatalf("resend what is made tomorrow: %d %s", a.code, a.body)
	}
	b.want("still parked", b.get("/callbacks?pile=parked"), http.StatusOK, "more-0")
	if a := b.post("/callbacks/resend", url.Values{"pile": {"parked"}, "to": {tomorrow}}); a.code != http.StatusSeeOther {
		t.Fatalf("resend all: %d %s", a.code, a.body)
	}
	b.want("none parked", b.get("/callbacks?pile=parked"), http.StatusOK, "There is no callback here")
	g.update(func(tx tx) error {
		_, err := tx.ClaimCallbacks(engine.ClaimCallbacks{Now: tx.Now(), Lease: time.Minute, Limit: 9, PerOrigin: 9})
		return err
	})
	b.want("one on its way", b.post(path, nil), http.StatusConflict, "being sent right now")
	other, err := g.desk.AddMerchant(t.Context(), "Other")
	if err != nil {
		t.Fatal(err)
	}
	foreign := g.paid(g.application(other.ID, "Foreign"), "foreign-1")
	var theirs []payment.Callback
	view(t, g.rig, func(tx tx) (err error) { theirs, err = tx.Callbacks(foreign.ID, 9); return err })
	b.want("another merchant's", b.post("/callbacks/"+string(theirs[0].ID)+"/resend", nil), http.StatusBadRequest, "No such callback")
}

// fund puts coins into the shop's wallet.
func (g *rig) fund(amount money.Amount) {
	g.t.Helper()
	g.update(func(tx tx) error {
		account := ledger.Wallet(string(g.shop.ID))
		err := tx.AddDeposit(payment.Deposit{ID: tx.NewID(), Account: account, Network: testNet, Ref: "0xfund:0", Address: "0xwallet", Amount: amount,
			TxID: "0xfund", State: payment.Confirmed, Turn: 1, SeenAt: tx.Now(), Height: 3, BlockHash: "0xh3", BlockTime: tx.Now()})
		if err != nil {
			return err
		}
		return tx.Post(ledger.ConfirmDeposit(ledger.Deposit{Network: testNet, Ref: "0xfund:0", Turn: 1, Account: account, Amount: amount}))
	})
}

// TestWalletPage: what is there, where it receives, what a withdrawal costs, and that it happens once and can be given up.
func TestWalletPage(t *testing.T) {
	g := newShopRig(t)
	g.fund(eth("2.5"))
	b := g.browser().login(ownerEmail)
	b.want("balances", b.get("/wallet"), http.StatusOK, "2.5 ETH")
	b.want("no address yet", b.post("/wallet/receive", url.Values{"network": {string(testNet)}}), http.StatusServiceUnavailable, "No address is ready")
	g.update(func(tx tx) error {
		return tx.AddAddresses([]payment.Address{{Network: testNet, Address: "0x" + strings.Repeat("c", 40), MerchantID: g.shop.ID, Index: 1,
			State: payment.AddressFree, ReleasedAt: tx.Now(), Balance: eth("0"), Wallet: eth("0")}})
	})
	a := b.post("/wallet/receive", url.Values{"network": {string(testNet)}})
	b.want("receive", a, http.StatusOK, "0x"+strings.Repeat("c", 40))
	b.want("its code", a, http.StatusOK, `<svg class="qr"`)
	a = b.get("/wallet/withdraw?network=" + url.QueryEscape(string(testNet)))
	b.want("the form", a, http.StatusOK, "2.5 ETH")
	id := regexp.MustCompile(`name="id" value="([0-9A-F]{64})"`).FindStringSubmatch(a.body)[1]
	to := "0x" + strings.Repeat("d", 40)
	form := func(amount string) url.Values {
		return url.Values{"id": {id}, "network": {string(testNet)}, "address": {to}, "amount": {amount}}
	}
	b.want("too much", b.post("/wallet/withdraw/check", form("3")), http.StatusBadRequest, "has only 2.5 ETH to spare")
	b.want("less than its fee", b.post("/wallet/withdraw/check", form("0.0001")), http.StatusBadRequest, "smaller than its network fee")
	bad := form("1")
	bad.Set("address", "bc1q")
	b.want("no address", b.post("/wallet/withdraw/check", bad), http.StatusBadRequest, `aria-invalid="true"`)
	a = b.post("/wallet/withdraw/check", form("1"))
	b.want("the cost", a, http.StatusOK, "0.001 ETH")
	b.want("what arrives", a, http.StatusOK, "0.999 ETH")
	b.want("without a second factor", b.post("/wallet/withdraw", form("1")), http.StatusForbidden, "Is it you?")
	b.stepUp()
	for range 2 {
		if a := b.post("/wallet/withdraw", form("1")); a.code != http.StatusSeeOther || a.location != "/wallet?done=withdraw" {
			t.Fatalf("withdraw: %d %s", a.code, a.body)
		}
	}
	all, err := g.desk.Payouts(t.Context(), engine.MerchantPayouts{Merchant: g.shop.ID})
	if err != nil || len(all) != 1 || all[0].To != to {
		t.Fatalf("withdrawals: %+v %v", all, err)
	}
	a = b.get("/wallet")
	b.want("the history", a, http.StatusOK, to)
	b.want("what is left", a, http.StatusOK, "1.5 ETH")
	b.want("the audit log", b.get("/audit"), http.StatusOK, "withdrawal.ask")
	if a := b.post("/wallet/cancel", url.Values{"id": {id}}); a.code != http.StatusSeeOther {
		t.Fatalf("cancel: %d %s", a.code, a.body)
	}
	b.want("cancelled twice", b.post("/wallet/cancel", url.Values{"id": {id}}), http.StatusConflict, "cannot be cancelled any more")
	b.want("an unknown one", b.post("/wallet/cancel", url.Values{"id": {"x"}}), http.StatusBadRequest, "No such withdrawal")
	b.want("the audit log", b.get("/audit"), http.StatusOK, "withdrawal.cancel")
	if a := b.get("/wallet/withdraw?network=dogecoin/1"); a.code != http.StatusBadRequest {
		t.Errorf("an unknown network: %d", a.code)
	}
	admin := g.user("admin@shop.example", payment.Admin)
	if a := g.browser().login(admin.Email).get("/wallet"); a.code != http.StatusOK || strings.Contains(a.body, "/wallet/withdraw?") {
		t.Errorf("an admin sees %d with a button to withdraw", a.code)
	}
}

// TestPayoutLists: each state and hold in words, and refunds apart from settlements.
func TestPayoutLists(t *testing.T) {
	g := newShopRig(t)
	i := g.paid(g.app, "paid-1")
	holds := []payment.Hold{payment.HoldDepth, payment.HoldTime, payment.HoldThreshold, payment.HoldFee, payment.HoldCeiling, payment.HoldAddress,
		payment.HoldApproval, payment.HoldDelay, payment.HoldRefused, payment.HoldReversed, payment.HoldGather, payment.HoldBusy, payment.HoldHalted,
		payment.HoldNode, payment.HoldSigner}
	add := func(i payment.Invoice, kind payment.PayoutKind, change func(*payment.Payout)) {
		g.update(func(tx tx) error {
			p := payment.Payout{ID: tx.NewID(), Kind: kind, MerchantID: i.MerchantID, ApplicationID: i.ApplicationID, InvoiceID: i.ID, Network: testNet,
				To: "0xto" + string(kind), Amount: eth("0.002"), Wasted: eth("0"), Fee: eth("0.0005"), Net: eth("0.0015"), State: payment.PayoutWaiting, Attempt: 1,
				CreatedAt: tx.Now(), UpdatedAt: tx.Now(), DueAt: tx.Now()}
			change(&p)
			return tx.AddPayout(p)
		})
		g.pass(time.Second)
	}
	add(i, payment.Settlement, func(p *payment.Payout) {
		p.State, p.TxID, p.DoneAt, p.Wasted = payment.PayoutDone, "0xsettled", g.clock(), eth("0.0001")
	})
	for n, hold := range holds {
		add(g.invoice(g.app, fmt.Sprint("held-", n), nil), payment.RefundAsked, func(p *payment.Payout) { p.Held = hold })
	}
	add(i, payment.RefundExcess, func(p *payment.Payout) {
		p.State, p.FailReason, p.DoneAt = payment.PayoutFailed, "below the fee", g.clock()
	})
	b := g.browser().login(ownerEmail)
	for _, language := range []payment.Language{payment.English, payment.Korean} {
		b.language(language)
		texts := textsOf(t, language)
		refunds, settlements := b.get("/refunds"), b.get("/settlements")
		for _, hold := range holds {
			b.want("refunds", refunds, http.StatusOK, strings.ReplaceAll(texts.Say("hold."+string(hold)), "'", "&#39;"))
		}
		b.want("a failed refund", refunds, http.StatusOK, "below the fee")
		for _, text := range []string{"https://explorer.example/tx/0xsettled", "0.0006 ETH", "0.0015 ETH", texts.Say("payout.state.done")} {
			b.want("settlements", settlements, http.StatusOK, text)
		}
		if strings.Contains(refunds.body, "0xsettled") || strings.Contains(settlements.body, "below the fee") {
			t.Error("refunds and settlements are mixed")
		}
		b.want("the story", b.get("/payments/"+string(i.ID)), http.StatusOK, "below the fee")
	}
}

// TestExports: a byte order mark, Korean as it is, no formulas, filters, and what came in and went out with its rate.
func TestExports(t *testing.T) {
	g := newShopRig(t)
	evil := g.invoice(g.app, `=HYPERLINK("http://evil.example","주문")`, func(i *payment.Invoice) { i.OrderName = "@SUM(1+1)" })
	g.paid(g.app, "주문-1, \"큰\"")
	g.fund(eth("2.5"))
	b := g.browser().login(ownerEmail)
	read := func(path string) [][]string {
		t.Helper()
		a := b.get(path)
		text, ok := strings.CutPrefix(a.body, "\ufeff")
		if a.code != http.StatusOK || !ok || !strings.HasPrefix(a.header.Get("Content-Type"), "text/csv") {
			t.Fatalf("%s: %d, mark %v, %s", path, a.code, ok, a.body)
		}
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			for _, cell := range row {
				if cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) {
					t.Errorf("%s: the cell %q is a formula", path, cell)
				}
			}
		}
		return rows
	}
	rows := read("/payments.csv")
	if len(rows) != 3 || rows[1][1] != "주문-1, \"큰\"" || rows[1][2] != "티셔츠" || rows[1][6] != "10500" || rows[1][11] != "5000000" ||
		rows[2][1] != "'"+evil.OrderID || rows[2][2] != "'@SUM(1+1)" || rows[2][14] != string(evil.ID) {
		t.Errorf("payments: %q", rows)
	}
	if rows := read("/payments.csv?status=2"); len(rows) != 2 {
		t.Errorf("paid: %q", rows)
	}
	rows = read("/moves.csv")
	if len(rows) != 3 || rows[1][2] != "Received in the wallet" || rows[1][6] != "2.5" || rows[1][9] != "" ||
		rows[2][1] != "In" || rows[2][6] != "0.0021" || rows[2][9] != "5000000" || rows[2][10] != "KRW" || rows[2][11] != "10500" || rows[2][13] != "upbit" {
		t.Errorf("movements: %q", rows)
	}
	g.update(func(tx tx) error {
		return tx.AddPayout(payment.Payout{ID: tx.NewID(), Kind: payment.Withdrawal, MerchantID: g.shop.ID, Network: testNet, To: "0xto", Amount: eth("1"),
			Wasted: eth("0.1"), Fee: eth("0.2"), Net: eth("0.7"), State: payment.PayoutDone, Attempt: 2, CreatedAt: tx.Now(), UpdatedAt: tx.Now(), DoneAt: tx.Now(), TxID: "0xgone"})
	})
	b.language(payment.Korean)
	rows = read("/moves.csv")
	found := false
	for _, row := range rows {
		found = found || row[1] == "지급" && row[2] == "출금" && row[6] == "1" && row[7] == "0.3" && row[8] == "0.7" && row[15] == "0xgone"
	}
	if len(rows) != 4 || !found {
		t.Errorf("movements: %q", rows)
	}
}

func textsOf(t *testing.T, l payment.Language) web.Catalogue {
	t.Helper()
	sub, err := fs.Sub(textFiles, "text")
	if err != nil {
		t.Fatal(err)
	}
	texts, err := web.ReadTexts(sub)
	if err != nil {
		t.Fatal(err)
	}
	return texts.In(l)
}
