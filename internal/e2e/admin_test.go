package e2e

import (
	"encoding/json"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestAdminOnTheDemo: the way to the first payment is ticked by what happens and by nothing else, the calls that a payment's page shows
// work when a shell makes them, and a key of the live world is told that it is none of this one.
func TestAdminOnTheDemo(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--no-mining")
	admin := d.ready["admin_url"]
	b := newBrowser(t)
	home := b.open(admin+"/login").form("/login").submit("email", d.ready["admin_email"], "password", d.ready["admin_password"])
	left := func(p page, want string) {
		t.Helper()
		if !strings.Contains(p.visible(), want+" of 8 left") || !strings.Contains(p.visible(), "Nothing needs you just now") || !strings.Contains(p.visible(), "TEST MODE") {
			t.Errorf("want %s left: %s", want, p.visible())
		}
	}
	left(home, "3") // use the key, answer a callback, a second factor
	id := d.good(t, "invoice/create", d.order("first")).text("invoice_id")
	left(b.open(admin), "2")
	address := d.url + "/invoice-" + id
	choose(t, address, "ETH")
	is := d.get(t, id)
	d.pay("ETH", is.text("deposit_address"), is.text("coin_amount"))
	eventually(t, patience, "the payment", func() bool {
		d.mine("ETH", 1)
		return d.get(t, id).number("status") == "2"
	})
	d.awaitCallbacks("first", 1)
	eventually(t, patience, "the last tick but one", func() bool { return strings.Contains(b.open(admin).visible(), "1 of 8 left") })

	page := b.open(admin + "/payments/" + id)
	for _, want := range []string{"The payment was opened", "A coin was chosen", "Coins were seen", "Paid", "Delivered: the answer is ok"} {
		if !strings.Contains(page.visible(), want) {
			t.Errorf("the story does not tell %q: %s", want, page.visible())
		}
	}
	for name, want := range map[string]string{"curl-get": `"order_id":"first"`, "curl-test": `"callback_url"`, "curl-refund": `"refund_id"`} {
		m := regexp.MustCompile(`(?s)id="` + name + `">(.*?)</pre>`).FindStringSubmatch(page.html)
		if m == nil {
			t.Fatalf("no %s", name)
		}
		call := strings.Replace(unescape(m[1]), "YOUR-API-KEY", d.key, 1)
		out, err := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(call, "curl ", "curl -sS ", 1)).Output() //nolint:gosec // what the page shows is what is tested
		var said struct {
			Code int `json:"code"`
		}
		if err != nil || json.Unmarshal(out, &said) != nil || said.Code != 1 || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v %s", call, err, out)
		}
	}
	if raw := b.open(admin + "/payments/" + id + "/json").html; !strings.Contains(raw, `"invoice_id":"`+id+`"`) {
		t.Errorf("the invoice as JSON: %s", raw)
	}
	live := merchant{d.url, "pipe_live_" + strings.TrimPrefix(d.key, "pipe_test_")}
	if a := live.call(t, "invoice/get", fields{{"invoice_id", id}}); a.Code != "4010" || !strings.Contains(a.Message, "this is a live key") {
		t.Errorf("a live key: %s", a)
	}
}
