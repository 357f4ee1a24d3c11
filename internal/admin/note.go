package admin

import (
	"net/http"

	"github.com/pipe-pg/pipe/internal/payment"
)

// addNote writes a note to a payment.
func (d *door) addNote(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := payment.ID(r.PathValue("id"))
	return d.noted(w, r, v, d.Desk.AddNote(r.Context(), v.By, id, r.PostForm.Get("note")))
}

// removeNote takes a note away.
func (d *door) removeNote(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := payment.ID(r.PathValue("id"))
	return d.noted(w, r, v, d.Desk.RemoveNote(r.Context(), v.By, id, payment.ID(r.PostForm.Get("note"))))
}

// noted goes back to the payment, or shows it again with what was refused.
func (d *door) noted(w http.ResponseWriter, r *http.Request, v *visit, err error) error {
	if s, status, ok := d.refusal(v, err); ok && status != http.StatusNotFound {
		return d.showStory(w, r, v, func(p *storyPage) { p.Error, p.Status = s, status })
	}
	if err != nil {
		return err
	}
	return redirect(w, r, "/payments/"+r.PathValue("id")+"#notes")
}

// Removable tells whether the visitor may take a note away.
func (p storyPage) Removable(n payment.Note) bool {
	return p.May(string(payment.MayNote)) && (n.AuthorID == p.By.User.ID || p.May(string(payment.MayStaff)))
}

// handled notes that somebody dealt with what a payment needed.
func (d *door) handled(w http.ResponseWriter, r *http.Request, v *visit) error {
	err := d.Desk.Handle(r.Context(), v.By, payment.ID(r.PathValue("id")))
	if err != nil {
		return d.noted(w, r, v, err)
	}
	return done(w, r, "/payments/"+r.PathValue("id"), "handled")
}
