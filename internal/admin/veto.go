package admin

import (
	"net/http"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/web"
)

type vetoPage struct {
	frame
	Forbid engine.Forbidding
	Gone   bool // it is done
}

// vetoForm shows which settlement address a link in a letter forbids. It changes nothing: mail programs look at links too.
func (d *door) vetoForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	p, err := d.vetoPage(r, v)
	if err != nil {
		return err
	}
	return d.render(w, r, "veto", p)
}

func (d *door) vetoPage(r *http.Request, v *visit) (p vetoPage, err error) {
	if d.Integrator == nil {
		return p, noPage()
	}
	p.frame = d.frame(r, v, "veto.title")
	p.Forbid, err = d.Integrator.OpenVeto(r.Context(), r.PathValue("token"))
	return p, err
}

// veto forbids the address, for whoever holds the letter.
func (d *door) veto(w http.ResponseWriter, r *http.Request, v *visit) error {
	if !d.signIn(r) {
		return web.TooMany()
	}
	p, err := d.vetoPage(r, v)
	if err != nil {
		return err
	}
	if err := d.Integrator.VetoByLink(r.Context(), r.PathValue("token"), v.Caller); err != nil {
		return err
	}
	p.Gone = true
	return d.render(w, r, "veto", p)
}
