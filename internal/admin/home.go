package admin

import (
	"net/http"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

type homePage struct {
	frame
	Factor bool // a second factor is on
}

// home is the first page of a merchant.
func (d *door) home(w http.ResponseWriter, r *http.Request, v *visit) error {
	if v.Merchant.ID == "" {
		return redirect(w, r, "/merchants")
	}
	return d.render(w, r, "home", homePage{frame: d.frame(r, v, "home.title"), Factor: v.User.HasFactor()})
}

type merchantsPage struct {
	frame
	Places []engine.Place
	MayAdd bool
}

// merchants lists the merchants that somebody works for.
func (d *door) merchants(w http.ResponseWriter, r *http.Request, v *visit) error {
	p, err := d.merchantsPage(r, v)
	if err != nil {
		return err
	}
	return d.render(w, r, "merchants", p)
}

func (d *door) merchantsPage(r *http.Request, v *visit) (merchantsPage, error) {
	places, err := d.Office.Places(r.Context(), v.By)
	mayAdd := v.User.Operator || d.Office.SignUp == engine.SignUpOpen
	return merchantsPage{frame: d.frame(r, v, "merchants.title"), Places: places, MayAdd: mayAdd}, err
}

func (d *door) chooseMerchant(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := d.Office.ChoosePlace(r.Context(), v.By, payment.ID(r.PostForm.Get("id"))); err != nil {
		return err
	}
	return redirect(w, r, "/")
}

func (d *door) addMerchant(w http.ResponseWriter, r *http.Request, v *visit) error {
	_, err := d.Office.AddPlace(r.Context(), v.By, r.PostForm.Get("name"))
	if s, status, ok := d.refusal(v, err); ok {
		p, err := d.merchantsPage(r, v)
		if err != nil {
			return err
		}
		p.Error, p.Status = s, status
		return d.render(w, r, "merchants", p)
	}
	if err != nil {
		return err
	}
	return done(w, r, "/", "merchant")
}
