package admin

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// TestHouse: an operator sees why payouts stand still and lets them go on; both are in the audit log of the house.
func TestHouse(t *testing.T) {
	g := newRig(t, withNets(newList()), func(o *Options) {
		o.Settings = func() []Setting { return []Setting{{"PIPE_DATABASE", "[secret]"}} }
	})
	b := g.browser().login(ownerEmail).stepUp()
	if a := b.get("/house"); a.code != http.StatusForbidden {
		t.Fatalf("an owner gets %d", a.code)
	}
	err := g.store.Update(t.Context(), func(tx engine.Tx) error {
		u, err := tx.User(g.owner.ID)
		if err != nil {
			return err
		}
		u.Operator = true
		return tx.SwapUser(u)
	})
	if err != nil {
		t.Fatal(err)
	}
	b.want("house", b.get("/house"), http.StatusOK, "Payouts go on.")
	b.want("settings", b.get("/house"), http.StatusOK, "[secret]")
	b.want("no reason", b.post("/house/halt", nil), http.StatusBadRequest, `role="alert"`)
	if a := b.post("/house/halt", url.Values{"reason": {"the book is wrong"}}); a.code != http.StatusSeeOther {
		t.Fatal(a.code, a.body)
	}
	b.want("halted", b.get("/house"), http.StatusOK, "the book is wrong")
	if h, err := g.desk.Halted(t.Context()); err != nil || h.Reason != "the book is wrong" {
		t.Fatal(h, err)
	}
	if a := b.post("/house/resume", nil); a.code != http.StatusSeeOther {
		t.Fatal(a.code, a.body)
	}
	b.want("on again", b.get("/house?lang=ko"), http.StatusOK, "Payouts go on.")
	log, err := g.office.AuditLog(t.Context(), "", "", 0)
	if err != nil || len(log) < 2 || log[0].Action != "payouts.resume" || log[1].Action != "payouts.halt" {
		t.Errorf("%+v %v", log, err)
	}
}

// TestFirstSteps: each step of the way to the first payment is ticked by what was done, and by nothing else.
func TestFirstSteps(t *testing.T) {
	g := newRig(t, withNets(newList()))
	b := g.browser().login(ownerEmail).stepUp()
	left := func(want string) {
		t.Helper()
		b.want("home", b.get("/"), http.StatusOK, want+" of 8 left")
	}
	left("8")
	path, _ := b.addOne()
	left("5") // the application, its coins, and the wallet to keep them
	b.post(path+"/urls", url.Values{"urls": {"https://shop.example"}})
	left("4")
	b.post(path+"/ips", url.Values{"ips": {"203.0.113.9"}})
	left("3")
	b.want("next click", b.get("/"), http.StatusOK, `href="`+path+`#test"`)
}

// TestHomeChart: what was paid is drawn by day and coin, with a table behind it, and what waits for a person is named.
func TestHomeChart(t *testing.T) {
	g := newRig(t, withNets(newList()))
	b := g.browser().login(ownerEmail).stepUp()
	b.addOne()
	app := b.one()
	err := g.store.Update(t.Context(), func(tx engine.Tx) error {
		i := payment.Invoice{
			ID: tx.NewID(), ApplicationID: app.ID, MerchantID: g.shop.ID, OrderID: "o", OrderName: "n", Price: money.Of(money.KRW, 10_500),
			Language: payment.Korean, CallbackURL: "https://shop.example/cb", OpenType: payment.OpenRedirect, Policy: app.Settings.Freeze(money.Of(money.KRW, 10_500)),
			Coins: app.Coins, CreatedAt: tx.Now(), UpdatedAt: tx.Now(),
			Told: payment.Told{Status: payment.Paid, PaidAt: tx.Now().UnixMilli(), Deadline: tx.Now().UnixMilli(), Marks: payment.MarkReversed},
		}
		return tx.AddInvoice(i)
	})
	if err != nil {
		t.Fatal(err)
	}
	a := b.get("/?days=7")
	b.want("chart", a, http.StatusOK, "<svg")
	b.want("sum", a, http.StatusOK, "₩10,500")
	b.want("attention", a, http.StatusOK, "whose deposit the chain took back")
	if strings.Count(a.body, "<rect") != 1 {
		t.Errorf("%d bars", strings.Count(a.body, "<rect"))
	}
}
