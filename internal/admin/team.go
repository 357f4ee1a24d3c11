package admin

import (
	"net/http"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

type teamPage struct {
	frame
	Team    []engine.Colleague
	Invites []engine.Invitation
	Roles   []payment.Role // that the person may give
	Link    string         // of an invitation just made
	Mails   bool
}

func (d *door) teamPage(r *http.Request, v *visit) (p teamPage, err error) {
	p = teamPage{frame: d.frame(r, v, "nav.team"), Mails: d.Office.Mails}
	p.Team, p.Invites, err = d.Office.Team(r.Context(), v.By)
	for _, role := range payment.Roles() {
		if role != payment.Owner || v.May(payment.MayCrown) {
			p.Roles = append(p.Roles, role)
		}
	}
	return p, err
}

// team lists who works for the merchant.
func (d *door) team(w http.ResponseWriter, r *http.Request, v *visit) error {
	p, err := d.teamPage(r, v)
	if err != nil {
		return err
	}
	return d.render(w, r, "team", p)
}

// staffed goes back to the team, or shows it again with what was refused.
func (d *door) staffed(w http.ResponseWriter, r *http.Request, v *visit, err error) error {
	if s, status, ok := d.refusal(v, err); ok {
		p, err := d.teamPage(r, v)
		if err != nil {
			return err
		}
		p.Error, p.Status = s, status
		return d.render(w, r, "team", p)
	}
	if err != nil {
		return err
	}
	return done(w, r, "/team", "team")
}

// invite makes an invitation and shows its link: it can be handed over where no letters are sent.
func (d *door) invite(w http.ResponseWriter, r *http.Request, v *visit) error {
	role, ok := payment.ParseRole(r.PostForm.Get("role"))
	if !ok {
		return d.staffed(w, r, v, payment.Malformed("role", "choose a role"))
	}
	link, err := d.Office.Invite(r.Context(), v.By, r.PostForm.Get("email"), role)
	return d.invited(w, r, v, asked{link, err})
}

// inviteAgain puts a new invitation in the place of one, and shows its link.
func (d *door) inviteAgain(w http.ResponseWriter, r *http.Request, v *visit) error {
	link, err := d.Office.InviteAgain(r.Context(), v.By, payment.ID(r.PostForm.Get("id")))
	return d.invited(w, r, v, asked{link, err})
}

// asked is what came of an invitation.
type asked struct {
	link string
	err  error
}

func (d *door) invited(w http.ResponseWriter, r *http.Request, v *visit, a asked) error {
	if a.err != nil {
		return d.staffed(w, r, v, a.err)
	}
	p, err := d.teamPage(r, v)
	if err != nil {
		return err
	}
	p.Link, p.Form = a.link, nil
	return d.render(w, r, "team", p)
}

func (d *door) setRole(w http.ResponseWriter, r *http.Request, v *visit) error {
	role, ok := payment.ParseRole(r.PostForm.Get("role"))
	if !ok {
		return d.staffed(w, r, v, payment.Malformed("role", "choose a role"))
	}
	return d.staffed(w, r, v, d.Office.SetRole(r.Context(), v.By, payment.ID(r.PostForm.Get("user")), role))
}

func (d *door) removeMember(w http.ResponseWriter, r *http.Request, v *visit) error {
	return d.staffed(w, r, v, d.Office.RemoveMember(r.Context(), v.By, payment.ID(r.PostForm.Get("user"))))
}

func (d *door) takeBack(w http.ResponseWriter, r *http.Request, v *visit) error {
	return d.staffed(w, r, v, d.Office.TakeBack(r.Context(), v.By, payment.ID(r.PostForm.Get("id"))))
}

// leaveTeam takes the person themselves out.
func (d *door) leaveTeam(w http.ResponseWriter, r *http.Request, v *visit) error {
	err := d.Office.RemoveMember(r.Context(), v.By, v.User.ID)
	if _, _, ok := d.refusal(v, err); ok {
		return d.staffed(w, r, v, err)
	}
	if err != nil {
		return err
	}
	return done(w, r, "/merchants", "left")
}
