package admin

import (
	"net/http"
	"net/url"

	"github.com/pipe-pg/pipe/internal/payment"
)

// A savedView is one that the visitor may open.
type savedView struct {
	payment.SavedView
	Here bool
}

// URL is where the view is opened.
func (v savedView) URL() string { return "/payments?" + v.Query }

// viewQuery is what a view keeps of a list: its filters and what is searched for, not its page.
func viewQuery(asked url.Values) string {
	q, err := url.ParseQuery(with(asked, "", ""))
	if err != nil {
		return ""
	}
	q.Del("pile")
	if text := asked.Get("q"); text != "" {
		q.Set("q", text)
	}
	return q.Encode()
}

// savedViews are the visitor's, for the list that they look at.
func (d *door) savedViews(r *http.Request, v *visit, p *paymentsPage) error {
	all, err := d.Office.SavedViews(r.Context(), v.By)
	if err != nil {
		return err
	}
	p.Query = viewQuery(p.Asked)
	for _, view := range all {
		here := view.Query == p.Query
		p.Views = append(p.Views, savedView{view, here})
		p.Kept = p.Kept || here
	}
	return nil
}

// saveView keeps the filters of the list by a name.
func (d *door) saveView(w http.ResponseWriter, r *http.Request, v *visit) error {
	asked, err := url.ParseQuery(r.PostForm.Get("query"))
	if err != nil || viewQuery(asked) == "" {
		err = payment.Malformed("view", "has no filter: choose some first")
	} else {
		err = d.Office.SaveView(r.Context(), v.By, r.PostForm.Get("view"), viewQuery(asked))
	}
	return d.viewed(w, r, v, err)
}

func (d *door) renameView(w http.ResponseWriter, r *http.Request, v *visit) error {
	return d.viewed(w, r, v, d.Office.RenameView(r.Context(), v.By, payment.ID(r.PostForm.Get("id")), r.PostForm.Get("view")))
}

func (d *door) removeView(w http.ResponseWriter, r *http.Request, v *visit) error {
	return d.viewed(w, r, v, d.Office.RemoveView(r.Context(), v.By, payment.ID(r.PostForm.Get("id"))))
}

// viewed goes back to the list, with its filters, or shows it again with what was refused.
func (d *door) viewed(w http.ResponseWriter, r *http.Request, v *visit, err error) error {
	asked, bad := url.ParseQuery(r.PostForm.Get("query"))
	if bad != nil {
		asked = url.Values{}
	}
	if s, status, ok := d.refusal(v, err); ok {
		return d.listPayments(w, r, v, paymentsPage{frame: d.frame(r, v, "nav.payments"), Asked: asked}.refused(s, status))
	}
	if err != nil {
		return err
	}
	return redirect(w, r, "/payments?"+viewQuery(asked))
}

func (p paymentsPage) refused(s shown, status int) paymentsPage {
	p.Error, p.Status = s, status
	return p
}
