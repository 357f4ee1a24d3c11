package admin

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// passkeyField holds the browser's answer to a ceremony; at a step-up it is stepUpField.
const passkeyField = "passkey"

type passkeysPage struct {
	frame
	Keys     []payment.Credential
	Password bool // the password is asked for
	Here     bool // passkeys can be used here at all
}

func (d *door) passkeysPage(r *http.Request, v *visit) (p passkeysPage, err error) {
	p = passkeysPage{frame: d.frame(r, v, "passkeys.title"), Password: !v.Guarded() && !v.SteppedUp(), Here: d.Office.Verifier != nil}
	p.Keys, err = d.Office.Passkeys(r.Context(), v.By)
	return p, err
}

// passkeys lists the person's passkeys. Who has a second factor already confirms first that it is them, as the next thing is to
// add one.
func (d *door) passkeys(w http.ResponseWriter, r *http.Request, v *visit) error {
	if v.Guarded() && !v.SteppedUp() {
		_, err := d.stepUp(w, r, v)
		return err
	}
	p, err := d.passkeysPage(r, v)
	if err != nil {
		return err
	}
	return d.render(w, r, "passkeys", p)
}

// passkeyAsk answers the script with a ceremony, or with what was refused.
func (d *door) passkeyAsk(w http.ResponseWriter, r *http.Request, v *visit, ask func() (engine.Ceremony, error)) error {
	c, err := ask()
	status := http.StatusOK
	var out any = c
	if s, refused, ok := d.refusal(v, err); ok {
		status, out = refused, map[string]string{"error": s.Text}
	} else if err != nil {
		return err
	}
	body, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("write ceremony: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	return web.Send(w, r, status, body)
}

// answerOf reads the browser's answer; one that is none is refused when it is used.
func answerOf(r *http.Request) (a engine.CeremonyAnswer) {
	if err := json.Unmarshal([]byte(r.PostForm.Get(passkeyField)), &a); err != nil {
		return engine.CeremonyAnswer{}
	}
	return a
}

func (d *door) addPasskeyAsk(w http.ResponseWriter, r *http.Request, v *visit) error {
	if !d.signIn(r) {
		return web.TooMany()
	}
	return d.passkeyAsk(w, r, v, func() (engine.Ceremony, error) {
		return d.Office.BeginPasskey(r.Context(), v.By, r.PostForm.Get("password"))
	})
}

// addPasskey keeps a new passkey, and shows recovery codes where it is the first second factor.
func (d *door) addPasskey(w http.ResponseWriter, r *http.Request, v *visit) error {
	codes, err := d.Office.AddPasskey(r.Context(), v.By, answerOf(r), r.PostForm.Get("name"))
	if s, status, ok := d.refusal(v, err); ok {
		p, err := d.passkeysPage(r, v)
		if err != nil {
			return err
		}
		p.Error, p.Status = s, status
		return d.render(w, r, "passkeys", p)
	}
	if err != nil {
		return err
	}
	if len(codes) > 0 {
		return d.render(w, r, "recovery", totpPage{frame: d.frame(r, v, "recovery.title"), Codes: codes})
	}
	return done(w, r, "/account", "saved")
}

func (d *door) removePasskey(w http.ResponseWriter, r *http.Request, v *visit) error {
	return d.accountSaved(w, r, v, d.Office.RemovePasskey(r.Context(), v.By, payment.ID(r.PostForm.Get("id"))))
}

// passkeyLoginAsk begins a log-in. It takes from the caller's allowance; the answer to it does not, as it works once.
func (d *door) passkeyLoginAsk(w http.ResponseWriter, r *http.Request, v *visit) error {
	if !d.signIn(r) {
		return web.TooMany()
	}
	return d.passkeyAsk(w, r, v, func() (engine.Ceremony, error) { return d.Office.BeginPasskeyLogIn(r.Context(), engine.By{}) })
}

func (d *door) passkeyLogin(w http.ResponseWriter, r *http.Request, v *visit) error {
	in, err := d.Office.LogInByPasskey(r.Context(), answerOf(r), v.Caller)
	if s, status, ok := d.refusal(v, err); ok {
		p := d.loginPage(r, v)
		p.Error, p.Status = s, status
		return d.render(w, r, "login", p)
	}
	if err != nil {
		return err
	}
	if err := d.swap(w, r, in.Token); err != nil {
		return err
	}
	d.remember(w, in.Device)
	return redirect(w, r, localPath(r.PostForm.Get("next")))
}

// stepUpAsk begins a step-up by passkey; its answer goes where a code goes.
func (d *door) stepUpAsk(w http.ResponseWriter, r *http.Request, v *visit) error {
	return d.passkeyAsk(w, r, v, func() (engine.Ceremony, error) { return d.Office.BeginPasskeyLogIn(r.Context(), v.By) })
}
