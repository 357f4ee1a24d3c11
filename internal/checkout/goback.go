package checkout

import (
	"net/url"
	"strconv"

	"github.com/pipe-pg/pipe/internal/payment"
)

// backURL is the shop's redirect_url with invoice_id, order_id and status added. What the shop put there stays as it is,
// in its order; "" without a redirect_url.
func backURL(i payment.Invoice) string {
	if i.RedirectURL == "" {
		return ""
	}
	u, err := url.Parse(i.RedirectURL)
	if err != nil {
		return "" // it was checked when it was taken
	}
	add := "invoice_id=" + url.QueryEscape(string(i.ID)) + "&order_id=" + url.QueryEscape(i.OrderID) +
		"&status=" + strconv.Itoa(int(i.Told.Status))
	if u.RawQuery != "" {
		add = u.RawQuery + "&" + add
	}
	u.RawQuery, u.ForceQuery = add, false
	return u.String()
}
