package admin

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

// lettersOf finds the letters that were given up, for the operator's page.
func (d *door) lettersOf(r *http.Request, p *housePage) (err error) {
	p.Mails = d.Office.Mails
	p.Parked, p.ParkedAll, err = d.Office.ParkedLetters(r.Context(), payment.ID(r.URL.Query().Get("letters")))
	if len(p.Parked) > engine.PageRows {
		p.Parked = p.Parked[:engine.PageRows]
		p.ParkedMore = "/house?letters=" + queryEscape(string(p.Parked[engine.PageRows-1].ID)) + "#letters"
	}
	return err
}

// Masked is an e-mail address by which somebody who knows it knows it again, and nobody else learns it: operators look after letters,
// not after who they are for.
func (f frame) Masked(address string) string {
	name, domain, ok := strings.Cut(address, "@")
	if !ok || name == "" {
		return "•••"
	}
	_, first := utf8.DecodeRuneInString(name)
	return name[:first] + "•••@" + domain
}

// retryLetters has a letter tried again, or all without an id.
func (d *door) retryLetters(w http.ResponseWriter, r *http.Request, v *visit) error {
	_, err := d.Office.RetryLetters(r.Context(), v.By, payment.ID(r.PostForm.Get("id")))
	return d.lettered(w, r, v, err)
}

// dropLetters puts a letter away, or all without an id.
func (d *door) dropLetters(w http.ResponseWriter, r *http.Request, v *visit) error {
	_, err := d.Office.DropLetters(r.Context(), v.By, payment.ID(r.PostForm.Get("id")))
	return d.lettered(w, r, v, err)
}

func (d *door) lettered(w http.ResponseWriter, r *http.Request, v *visit, err error) error {
	if _, _, ok := d.refusal(v, err); ok {
		return d.showHouse(w, r, v, err)
	}
	if err != nil {
		return err
	}
	return done(w, r, "/house", "letters")
}
