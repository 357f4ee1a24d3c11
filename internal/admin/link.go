package admin

import (
	"net/http"
	"net/url"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

func queryEscape(text string) string { return url.QueryEscape(text) }

type plainPage struct {
	frame
	Sent bool // a letter is on its way, if there is anybody to get it
}

// signUpForm asks for an e-mail address: everything else stands behind the link that is sent there.
func (d *door) signUpForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	return d.render(w, r, "signup", plainPage{frame: d.frame(r, v, "signup.title")})
}

func (d *door) signUp(w http.ResponseWriter, r *http.Request, v *visit) error {
	if !d.signIn(r) {
		return web.TooMany()
	}
	p := plainPage{frame: d.frame(r, v, "signup.title")}
	err := d.Office.AskSignUp(r.Context(), r.PostForm.Get("email"), v.texts.Language)
	if s, status, ok := d.refusal(v, err); ok {
		p.Error, p.Status = s, status
		return d.render(w, r, "signup", p)
	}
	p.Sent = true
	if err != nil {
		return err
	}
	return d.render(w, r, "signup", p)
}

func (d *door) forgotForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	return d.render(w, r, "forgot", plainPage{frame: d.frame(r, v, "forgot.title")})
}

func (d *door) forgot(w http.ResponseWriter, r *http.Request, v *visit) error {
	if !d.signIn(r) {
		return web.TooMany()
	}
	if err := d.Office.AskReset(r.Context(), r.PostForm.Get("email")); err != nil {
		return err
	}
	p := plainPage{frame: d.frame(r, v, "forgot.title"), Sent: true}
	return d.render(w, r, "forgot", p)
}

type linkPage struct {
	frame
	Door engine.Door
	Mine bool // an invitation for who is logged in
}

// linkForm shows what a one-time link is for. It changes nothing: mail programs look at links too.
func (d *door) linkForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	p, err := d.linkPage(r, v)
	if err != nil {
		return err
	}
	return d.render(w, r, "link", p)
}

func (d *door) linkPage(r *http.Request, v *visit) (linkPage, error) {
	door, err := d.Office.OpenLink(r.Context(), r.PathValue("token"))
	p := linkPage{Door: door}
	if err != nil {
		return p, err
	}
	if !v.in && door.Email != "" && r.URL.Query().Get("lang") == "" {
		v.texts = d.texts.In(door.Language)
	}
	p.frame = d.frame(r, v, "link.title."+string(door.Kind))
	p.Mine = v.in && v.User.Email == door.Email && door.Kind == payment.LinkInvite
	return p, nil
}

// link does what the link is for.
func (d *door) link(w http.ResponseWriter, r *http.Request, v *visit) error {
	if !d.signIn(r) {
		return web.TooMany()
	}
	p, err := d.linkPage(r, v)
	if err != nil {
		return err
	}
	f := r.PostForm
	var b beyond
	switch token := r.PathValue("token"); {
	case p.Mine:
		err = d.Office.Join(r.Context(), v.By, token)
	case p.Door.Kind == payment.LinkReset:
		err = d.Office.Reset(r.Context(), token, f.Get("password"), v.Caller)
	case p.Door.Kind == payment.LinkEmail:
		err = d.Office.ConfirmEmail(r.Context(), v.By, token)
		b.account = v.User.ID == p.Door.UserID
	case p.Door.Kind == payment.LinkUndo:
		b.next, err = d.Office.UndoEmail(r.Context(), token, v.Caller)
	default:
		b.in, err = d.Office.Enter(r.Context(), token, engine.Entry{
			Email: f.Get("email"), Name: f.Get("name"), Password: f.Get("password"), Merchant: f.Get("shop"), Language: v.texts.Language,
		}, v.Caller)
	}
	if s, status, ok := d.refusal(v, err); ok {
		p.Error, p.Status = s, status
		return d.render(w, r, "link", p)
	}
	if err != nil {
		return err
	}
	return d.behindLink(w, r, b, p)
}

// A beyond is what came of a link that worked.
type beyond struct {
	in      engine.Entrance
	account bool   // the address of who is logged in was changed
	next    string // path of the link that follows an undone change of address
}

// behindLink leads on from a link that worked.
func (d *door) behindLink(w http.ResponseWriter, r *http.Request, b beyond, p linkPage) error {
	switch p.Door.Kind {
	case payment.LinkReset:
		return done(w, r, "/login", "password")
	case payment.LinkEmail:
		if b.account {
			return done(w, r, "/account", "email")
		}
		return done(w, r, "/login", "email")
	case payment.LinkUndo:
		return done(w, r, b.next, "undone")
	case payment.LinkSetup, payment.LinkSignUp, payment.LinkInvite:
	}
	if !p.Mine {
		if err := d.swap(w, r, b.in.Token); err != nil {
			return err
		}
		d.remember(w, b.in.Device)
	}
	return done(w, r, "/", "welcome")
}
