package browsertest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/admin"
	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/passkey"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store"
	"github.com/pipe-pg/pipe/internal/webhook"
)

// Who looks at a page.
const (
	nobody  = ""
	fresh   = "new@shop.example"   // owner of a merchant that has nothing yet
	boss    = "house@pipe.example" // operator
	halfway = "kim@shop.example"   // gave the password, not yet the code
)

const (
	bitcoin  money.Network = "bitcoin/mainnet"
	ethereum money.Network = "ethereum/1"
)

// A shop is the admin with merchants that have been at work for a while.
type shop struct {
	t      *testing.T
	url    string
	store  *store.Store
	office *engine.Office
	desk   *engine.Desk
	of     payment.Merchant
	empty  payment.Merchant // has nothing yet
	app    payment.Application
	links  map[payment.MailKind]string

	mu  sync.Mutex // guards now
	now time.Time
	n   uint32
}

func (s *shop) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *shop) at(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = t
}

func (s *shop) pass(d time.Duration) { s.at(s.clock().Add(d)) }

func (s *shop) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) update(do func(tx engine.Tx) error) {
	s.t.Helper()
	s.must(s.store.Update(s.t.Context(), do))
}

// today is when the pictures are taken.
func today() time.Time { return time.Date(2026, 3, 18, 7, 12, 0, 0, time.UTC) }

// The signer, the node, the shop's server and the exchanges of the pictures.
type stage struct{}

func (stage) Register(_ context.Context, d chain.Destination) (chain.Destination, error) {
	if d.Network == ethereum {
		d.From = today().Add(19 * time.Hour)
	}
	return d, nil
}

func (stage) Veto(_ context.Context, merchant string, n money.Network, address string) (chain.Destination, error) {
	return chain.Destination{Merchant: merchant, Network: n, Address: address}, nil
}

func (stage) Send(context.Context, payment.Message) payment.Answer {
	return payment.Answer{Verdict: string(webhook.PHPNotice), Status: http.StatusOK, Took: 84 * time.Millisecond,
		Body: []byte("ok<br>\n<b>Warning</b>: Undefined variable $order in /var/www/callback.php on line 12")}
}

func (stage) Price(_ context.Context, coin, currency money.Currency) (payment.Price, error) {
	value := map[money.Currency]string{money.BTC: "95000000", money.ETH: "4750000"}[coin]
	if currency == money.USD {
		return payment.Price{}, payment.Refuse(payment.Unavailable, payment.WordNoRate, "none")
	}
	rate, err := money.ParseRate(coin, currency, value)
	return payment.Price{Rate: rate, At: today(), Votes: []payment.Vote{
		{Source: "upbit", Value: value, At: today().Add(-4 * time.Second), Counted: true},
		{Source: "bithumb", Value: value, At: today().Add(-3 * time.Second), Counted: true},
		{Source: "coinone", Value: "1", At: today().Add(-2 * time.Second), Reason: "far from the others"},
	}}, err
}

func (stage) Fees(context.Context) (chain.Fees, error) {
	return chain.Fees{Plain: coins(money.ETH, "0.0004"), Least: coins(money.ETH, "0.0001")}, nil
}

func coins(coin money.Currency, text string) money.Amount {
	a, err := money.Parse(coin, text)
	if err != nil {
		panic(err)
	}
	return a
}

// open is the admin with a shop that has been at work for a month, and one that has nothing.
func open(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, now: today().Add(-30 * 24 * time.Hour)}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	address := "sqlite:" + filepath.Join(t.TempDir(), "pipe.db")
	_, _, err := store.Migrate(t.Context(), address, nil)
	s.must(err)
	s.store, err = store.Open(t.Context(), store.Options{URL: address, Logger: log, Now: s.clock})
	s.must(err)
	server := httptest.NewUnstartedServer(nil)
	t.Cleanup(func() { server.Close(); s.must(s.store.Close()) })
	s.url = strings.Replace("http://"+server.Listener.Addr().String(), "127.0.0.1", "localhost", 1)
	keys, err := passkey.New(s.url)
	s.must(err)
	s.office = &engine.Office{Store: s.store, Sealer: plain{}, Hasher: engine.NewHasher(), URL: s.url, SignUp: engine.SignUpOpen, Mails: true,
		Log: log, Verifier: keys}
	s.desk = &engine.Desk{Store: s.store, Sealer: plain{}, Log: log, Rates: stage{}, Sender: stage{}, Render: webhook.Render, Peers: engine.NewPeerNotes(),
		Fees: map[money.Network]engine.FeeReader{ethereum: stage{}}, Nets: map[money.Currency]engine.Net{
			money.BTC: {Network: bitcoin, ParseAddress: parse}, money.ETH: {Network: ethereum, Accounts: true, ParseAddress: parse}}}
	apps := &engine.Integrator{Desk: s.desk, Office: s.office, Destinations: stage{}, Log: log}
	server.Config.Handler, err = admin.New(admin.Options{Office: s.office, Desk: s.desk, URL: s.url, Log: log, SignInRate: 9999, SignInBurst: 9999,
		RatePerIP: 99999, Explain: func(verdict, language string) string { return webhook.Verdict(verdict).Explain(language) },
		Integrator: apps, Sandbox: true,
		Explorers: map[money.Network]string{bitcoin: "https://explorer.example/tx/{txid}", ethereum: "https://explorer.example/tx/{txid}"},
		Signer:    func(context.Context) (string, error) { return "4 of 9 limits used today", nil },
		Settings: func() []admin.Setting {
			return []admin.Setting{{Key: "PIPE_DATABASE", Value: "[secret]"}, {Key: "PIPE_PUBLIC_URL", Value: "https://pay.shop.example"}}
		},
	})
	s.must(err)
	server.Start()
	s.people()
	s.work()
	s.at(today())
	s.letters(apps)
	return s
}

// letters are written, and their links kept by what they are for.
func (s *shop) letters(apps *engine.Integrator) {
	s.t.Helper()
	by, err := s.office.Visit(s.t.Context(), s.enter(owner, true), engine.Caller{})
	s.must(err)
	s.must(apps.Settle(s.t.Context(), by, s.app.ID, engine.Target{Coin: money.BTC, Address: "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"}))
	s.must(s.office.AskReset(s.t.Context(), fresh))
	s.must(s.office.AskSignUp(s.t.Context(), "open@shop.example", payment.English))
	_, err = s.office.Invite(s.t.Context(), by, "join@shop.example", payment.Support)
	s.must(err)
	s.links = map[payment.MailKind]string{}
	s.update(func(tx engine.Tx) error {
		all, err := tx.ClaimMails(tx.Now(), time.Minute, 20)
		for _, m := range all {
			if found := regexp.MustCompile(regexp.QuoteMeta(s.url) + `(/[^"]+)`).FindSubmatch(m.Sealed); found != nil {
				s.links[m.Kind] = string(found[1])
			}
		}
		return err
	})
}

func parse(text string) (string, error) {
	if !regexp.MustCompile(`^(0x[0-9a-fA-F]{40}|bc1[0-9a-z]{8,87})$`).MatchString(text) {
		return "", fmt.Errorf("%q is no address", text)
	}
	return text, nil
}

// people makes the merchants, and who works for them.
func (s *shop) people() {
	s.t.Helper()
	var err error
	s.of, err = s.desk.AddMerchant(s.t.Context(), "햇살 문구점")
	s.must(err)
	s.empty, err = s.desk.AddMerchant(s.t.Context(), "새로 연 가게")
	s.must(err)
	for _, u := range []engine.NewUser{
		{Email: owner, Name: "김하늘", Merchant: s.of.ID}, {Email: halfway, Name: "Kim", Merchant: s.empty.ID}, {Email: fresh, Name: "박바다", Merchant: s.empty.ID},
		{Email: boss, Name: "운영자", Operator: true}, {Email: "dev@agency.example", Name: "Alex Doe"},
	} {
		u.Password, u.Language = sesame, payment.English
		user, err := s.office.AddUser(s.t.Context(), u)
		s.must(err)
		s.update(func(tx engine.Tx) error {
			user, err := tx.User(user.ID)
			if err != nil {
				return err
			}
			if u.Email == halfway || u.Email == owner {
				user.TOTP, user.Recovery = []byte("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"), [][]byte{{1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}}
			}
			if u.Email == "dev@agency.example" {
				if err := tx.AddMember(payment.Member{UserID: user.ID, MerchantID: s.of.ID, Role: payment.Developer, CreatedAt: tx.Now()}); err != nil {
					return err
				}
			}
			if u.Email == owner {
				err = tx.AddCredential(payment.Credential{ID: tx.NewID(), UserID: user.ID, Key: []byte{1}, Data: []byte("{}"), Name: "내 휴대폰", CreatedAt: tx.Now()})
				if err != nil {
					return err
				}
			}
			return tx.SwapUser(user)
		})
	}
}

// work is a month of the shop.
func (s *shop) work() {
	s.t.Helper()
	name, urls, ips := "온라인 문구점", []string{"https://shop.example", "https://www.shop.example/pay"}, []string{"203.0.113.7", "2001:db8::/48"}
	made, err := s.desk.AddApplication(s.t.Context(), s.of.ID, engine.Change{Name: &name, Origins: &urls, Networks: &ips})
	s.must(err)
	s.update(func(tx engine.Tx) (err error) {
		if s.app, err = tx.Application(made.ID); err != nil {
			return err
		}
		s.app.Settlement = map[money.Currency]string{money.BTC: "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", money.ETH: "0x52908400098527886E0F7030069857D2E4169EE7"}
		s.app.Settings.Look.Support = "help@shop.example"
		return tx.SwapApplication(s.app)
	})
	for day := range 29 {
		for n := range 1 + (day*7)%5 {
			coin := []money.Currency{money.BTC, money.ETH}[(day+n)%2]
			s.sell(sale{order: fmt.Sprintf("O202603-%02d%02d", day, n), name: "만년필 세트", price: int64(8_000+day*731+n*4_210) / 100 * 100, coin: coin, ok: true})
			s.pass(time.Hour)
		}
		s.at(today().Add(time.Duration(day-29)*24*time.Hour + time.Hour))
	}
	s.at(today().Add(-3 * time.Hour))
	s.sell(sale{order: "O202603-9001", name: "리필 잉크 3종", price: 24_000, coin: money.ETH, mark: payment.MarkExcess, hold: payment.HoldAddress, kind: payment.RefundExcess})
	s.sell(sale{order: "O202603-9002", name: "가죽 다이어리와 아주 긴 상품 이름이 붙은 한정판 선물 세트", price: 189_000, coin: money.BTC, ok: true, kind: payment.RefundAsked, hold: payment.HoldApproval})
	s.sell(sale{order: "O202603-9003", name: "노트 10권", price: 31_500, coin: money.ETH, mark: payment.MarkReversed})
	s.sell(sale{order: "O202603-9004", name: "Gift card", price: 4_999, usd: true})
	s.sell(sale{order: "O202603-9005", name: "연필깎이", price: 12_900, gone: true})
	s.fund(bitcoin, coins(money.BTC, "0.04218"))
	s.fund(ethereum, coins(money.ETH, "2.5"))
	s.paidOut()
	s.update(func(tx engine.Tx) error {
		for _, n := range []engine.NetworkState{{Network: bitcoin, Sight: today(), Height: 940_121, Final: 940_115},
			{Network: ethereum, Sight: today(), Height: 24_600_312, Final: 24_600_240, Trouble: "no node answers", TroubleSince: today().Add(-9 * time.Minute)}} {
			if err := tx.SaveNetworkState(n); err != nil {
				return err
			}
		}
		return nil
	})
}

// A sale is one invoice of the seed.
type sale struct {
	order, name string
	price       int64
	coin        money.Currency // "": not chosen yet
	usd         bool
	ok          bool // the shop's server answered its callback well
	gone        bool // expired
	mark        payment.Marks
	kind        payment.PayoutKind // what goes back to the payer
	hold        payment.Hold
}

// sell makes an invoice and what came of it.
func (s *shop) sell(x sale) {
	s.t.Helper()
	s.n++
	price := money.Of(money.KRW, x.price)
	if x.usd {
		price = money.Of(money.USD, x.price)
	}
	s.update(func(tx engine.Tx) error {
		i := payment.Invoice{ID: tx.NewID(), ApplicationID: s.app.ID, MerchantID: s.of.ID, OrderID: x.order, OrderName: x.name, Price: price,
			Language: payment.Korean, CallbackURL: "https://shop.example/pipe/callback.php", OpenType: payment.OpenRedirect,
			Policy: s.app.Settings.Freeze(price), Coins: s.app.Coins, CreatedAt: tx.Now(), UpdatedAt: tx.Now(),
			Told: payment.Told{Status: payment.Waiting, Deadline: tx.Now().Add(time.Hour).UnixMilli(), Marks: x.mark}}
		if x.gone {
			i.Told.Status, i.Told.ExpiredAt = payment.Expired, tx.Now().UnixMilli()
		}
		if x.coin != "" {
			i.Told.Status, i.Told.Deposit, i.Told.PaidAt, i.Told.DepositedAt = payment.Paid, payment.Deposited, tx.Now().UnixMilli(), tx.Now().UnixMilli()
		}
		if err := tx.AddInvoice(i); err != nil {
			return err
		}
		if err := tx.AddEvent(payment.Event{ID: tx.NewID(), InvoiceID: i.ID, Kind: payment.EventCreated, At: tx.Now()}); err != nil || x.coin == "" {
			return err
		}
		return s.pay(tx, x, i)
	})
}

// hex is some digits that look like what a chain has.
func (s *shop) hex(n int) string {
	return strings.Repeat(fmt.Sprintf("%08x", s.n*2654435761), 8)[:n]
}

// pay is an invoice's quote, deposit, callback and refund.
func (s *shop) pay(tx engine.Tx, x sale, i payment.Invoice) error {
	net, amount, text, address, tries := ethereum, coins(money.ETH, "0.0063158"), "4750000", "0x"+s.hex(40), 1
	if x.coin == money.BTC {
		net, amount, text, address = bitcoin, coins(money.BTC, "0.00031579"), "95000000", "bc1q"+s.hex(38)
	}
	rate, err := money.ParseRate(x.coin, money.KRW, text)
	if err != nil {
		return err
	}
	id, txid, zero := tx.NewID(), s.hex(64), money.Zero(x.coin)
	err = tx.AddAddresses([]payment.Address{{Network: net, Address: address, MerchantID: s.of.ID, Index: s.n, State: payment.AddressFree,
		ReleasedAt: tx.Now(), Balance: zero, Wallet: zero}})
	if err != nil {
		return err
	}
	if _, err := tx.GiveAddress(engine.GiveAddress{Merchant: s.of.ID, Network: net, Invoice: i.ID, HotUntil: tx.Now()}); err != nil {
		return err
	}
	err = tx.AddQuote(payment.Quote{ID: id, InvoiceID: i.ID, Coin: x.coin, Network: net, Address: address, Rate: rate, Due: amount, Window: time.Hour,
		Votes:     []payment.Vote{{Source: "upbit", Value: text, At: tx.Now(), Counted: true}, {Source: "bithumb", Value: text, At: tx.Now(), Counted: true}},
		CreatedAt: tx.Now(), Deadline: tx.Now().Add(time.Hour)})
	if err != nil {
		return err
	}
	if i, err = tx.Invoice(i.ID); err != nil {
		return err
	}
	i.Told.QuoteID, i.Told.Confirmed, i.Told.Seen = id, amount.Units(), amount.Units()
	if err := tx.SwapInvoice(i); err != nil {
		return err
	}
	if net == ethereum {
		txid = "0x" + txid
	}
	err = tx.AddDeposit(payment.Deposit{ID: tx.NewID(), InvoiceID: i.ID, Account: ledger.Invoice(string(i.ID)), Network: net, Ref: txid + ":0",
		Address: address, Amount: amount, TxID: txid, State: payment.Confirmed, Turn: 1, SeenAt: tx.Now(), Height: 940_000 + uint64(s.n), BlockHash: txid, BlockTime: tx.Now()})
	if err != nil {
		return err
	}
	c := payment.Callback{ID: tx.NewID(), InvoiceID: i.ID, ApplicationID: s.app.ID, URL: i.CallbackURL, Origin: "https://shop.example", Status: int(payment.Paid),
		Code: 1, ContentType: "application/json", Body: fmt.Appendf(nil, `{"code":1,"invoice_id":"%s","order_id":"%s","status":2}`, i.ID, i.OrderID),
		State: payment.CallbackParked, Attempts: tries, CreatedAt: tx.Now(), DueAt: tx.Now(), DoneAt: tx.Now()}
	a := payment.Attempt{CallbackID: c.ID, N: 1, At: tx.Now().Add(time.Second), Took: 84 * time.Millisecond, HTTPStatus: http.StatusOK,
		Verdict: string(webhook.PHPNotice), Answer: []byte("\ufeffok<br>\n<b>Warning</b>: Undefined variable $order")}
	if x.ok {
		c.State, a.Verdict, a.Answer = payment.CallbackDelivered, string(webhook.Delivered), []byte("ok")
	} else if x.mark == payment.MarkReversed {
		c.State, c.DoneAt, c.DueAt, a.Verdict, a.Answer, a.HTTPStatus = payment.CallbackOpen, time.Time{}, today().Add(time.Hour), string(webhook.Timeout), nil, 0
	}
	if _, err := tx.AddCallback(c); err != nil {
		return err
	}
	if err := tx.AddAttempt(a); err != nil {
		return err
	}
	if x.kind == "" {
		return nil
	}
	return tx.AddPayout(payment.Payout{ID: tx.NewID(), Kind: x.kind, MerchantID: s.of.ID, ApplicationID: s.app.ID, InvoiceID: i.ID, Network: net,
		Amount: amount, Wasted: zero, Fee: zero, Net: zero, State: payment.PayoutWaiting, Held: x.hold, Attempt: 1, CreatedAt: tx.Now(), UpdatedAt: tx.Now(), DueAt: tx.Now()})
}

// fund puts coins into the shop's wallet.
func (s *shop) fund(n money.Network, amount money.Amount) {
	s.t.Helper()
	s.n++
	s.update(func(tx engine.Tx) error {
		account, ref := ledger.Wallet(string(s.of.ID)), s.hex(64)
		err := tx.AddDeposit(payment.Deposit{ID: tx.NewID(), Account: account, Network: n, Ref: ref + ":0", Address: "wallet", Amount: amount, TxID: ref,
			State: payment.Confirmed, Turn: 1, SeenAt: tx.Now(), Height: 3, BlockHash: ref, BlockTime: tx.Now()})
		if err != nil {
			return err
		}
		zero, address := money.Zero(n.Coin()), map[money.Network]string{bitcoin: "bc1q" + s.hex(38), ethereum: "0x" + s.hex(40)}[n]
		err = tx.AddAddresses([]payment.Address{{Network: n, Address: address, MerchantID: s.of.ID, Index: s.n, State: payment.AddressFree,
			ReleasedAt: tx.Now(), Balance: zero, Wallet: zero}})
		if err != nil {
			return err
		}
		return tx.Post(ledger.ConfirmDeposit(ledger.Deposit{Network: n, Ref: ref + ":0", Turn: 1, Account: account, Amount: amount}))
	})
}

// paidOut are settlements and withdrawals of the past days.
func (s *shop) paidOut() {
	s.t.Helper()
	all, err := s.desk.InvoicePage(s.t.Context(), engine.InvoiceQuery{Merchant: s.of.ID, Limit: 20})
	s.must(err)
	to := "0x52908400098527886E0F7030069857D2E4169EE7"
	for n, state := range []payment.PayoutState{payment.PayoutDone, payment.PayoutDone, payment.PayoutFailed, payment.PayoutWaiting} {
		s.n++
		p := payment.Payout{Kind: payment.Settlement, MerchantID: s.of.ID, ApplicationID: s.app.ID, InvoiceID: all[8+n].ID, Network: ethereum, To: to, Attempt: 1, State: state,
			Amount: coins(money.ETH, "0.0063158"), Wasted: coins(money.ETH, "0"), Fee: coins(money.ETH, "0.0004"), Net: coins(money.ETH, "0.0059158")}
		switch state {
		case payment.PayoutWaiting:
			p.Held, p.Fee, p.Net = payment.HoldDepth, coins(money.ETH, "0"), coins(money.ETH, "0")
		case payment.PayoutDone:
			p.TxID, p.DoneAt = "0x"+s.hex(64), s.clock()
			if n == 1 {
				p.Kind, p.ApplicationID, p.InvoiceID = payment.Withdrawal, "", ""
			}
		case payment.PayoutOpen, payment.PayoutPaying, payment.PayoutFailed:
			p.FailReason, p.DoneAt = "the network fee is above the amount", s.clock()
		}
		s.update(func(tx engine.Tx) error {
			p.ID, p.CreatedAt, p.UpdatedAt, p.DueAt = tx.NewID(), tx.Now(), tx.Now(), tx.Now()
			return tx.AddPayout(p)
		})
		s.pass(time.Minute)
	}
}

// speak sets everybody's language.
func (s *shop) speak(l payment.Language) {
	s.t.Helper()
	s.update(func(tx engine.Tx) error {
		for _, email := range []string{owner, fresh, boss, halfway} {
			u, err := tx.UserByEmail(email)
			if err != nil {
				return err
			}
			u.Language = l
			if err := tx.SwapUser(u); err != nil {
				return err
			}
		}
		return nil
	})
}

// enter logs somebody in and is their session's token. sure makes the session one that was just confirmed.
func (s *shop) enter(who string, sure bool) string {
	s.t.Helper()
	in, err := s.office.LogIn(s.t.Context(), who, sesame, engine.Caller{IP: "198.51.100.23",
		Agent: "Mozilla/5.0 (iPhone; CPU iPhone OS 19_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.3 Mobile/15E148 Safari/604.1"})
	s.must(err)
	if who == halfway {
		return in.Token
	}
	token := in.Token + "full"
	s.update(func(tx engine.Tx) error {
		u, err := tx.UserByEmail(who)
		if err != nil {
			return err
		}
		mine, err := tx.Memberships(u.ID, "", 1)
		if err != nil {
			return err
		}
		hash, x := sha256.Sum256([]byte(token)), in.Session
		x.ID, x.Hash, x.Level, x.Until = tx.NewID(), hash[:], payment.SessionFull, tx.Now().Add(24*time.Hour)
		for _, m := range mine {
			x.MerchantID = m.MerchantID
		}
		if sure {
			x.StepUpTill = x.Until
		}
		return tx.AddSession(x)
	})
	return token
}
