package admin

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// lines are texts one below the other.
func lines(all any) string {
	switch all := all.(type) {
	case []string:
		return strings.Join(all, "\n")
	case []netip.Prefix:
		var out []string
		for _, p := range all {
			out = append(out, plainNetwork(p))
		}
		return strings.Join(out, "\n")
	}
	return ""
}

// plainNetwork is a network as people write it: one address without its length.
func plainNetwork(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// fields are the lines of a text field, empty ones left out.
func fields(text string) []string {
	all := []string{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}

func (d *door) saveURLs(w http.ResponseWriter, r *http.Request, v *visit) error {
	urls := fields(r.PostForm.Get("urls"))
	_, err := d.Integrator.Set(r.Context(), v.By, payment.ID(r.PathValue("id")), engine.Edit{
		Change: engine.Change{Origins: &urls}, Action: "application.urls",
		Data: func(was, is payment.Application) map[string]any {
			return map[string]any{"from": was.Origins, "to": is.Origins}
		},
	})
	return d.changed(w, r, v, change{"urls", err})
}

func (d *door) saveIPs(w http.ResponseWriter, r *http.Request, v *visit) error {
	return d.setIPs(w, r, v, fields(r.PostForm.Get("ips")))
}

func (d *door) setIPs(w http.ResponseWriter, r *http.Request, v *visit, ips []string) error {
	_, err := d.Integrator.Set(r.Context(), v.By, payment.ID(r.PathValue("id")), engine.Edit{
		Change: engine.Change{Networks: &ips}, Action: "application.ips",
		Data: func(was, is payment.Application) map[string]any {
			return map[string]any{"from": was.Networks, "to": is.Networks}
		},
	})
	return d.changed(w, r, v, change{"ips", err})
}

// addIP adds one address to those that there are: the one that the shop's server last called from in vain.
func (d *door) addIP(w http.ResponseWriter, r *http.Request, v *visit) error {
	app, _, err := d.Integrator.Application(r.Context(), v.By, payment.ID(r.PathValue("id")))
	if err != nil {
		return err
	}
	return d.setIPs(w, r, v, append(fields(lines(app.Networks)), strings.TrimSpace(r.PostForm.Get("ip"))))
}

func (d *door) saveCoins(w http.ResponseWriter, r *http.Request, v *visit) error {
	coins := []money.Currency{}
	for _, c := range r.PostForm["coin"] {
		coins = append(coins, money.Currency(c))
	}
	_, err := d.Integrator.Set(r.Context(), v.By, payment.ID(r.PathValue("id")), engine.Edit{
		Change: engine.Change{Coins: &coins}, Action: "application.coins",
		Data: func(was, is payment.Application) map[string]any {
			return map[string]any{"from": was.Coins, "to": is.Coins}
		},
	})
	return d.changed(w, r, v, change{"coins", err})
}

func (d *door) saveSettlement(w http.ResponseWriter, r *http.Request, v *visit) error {
	coin, address := money.Currency(r.PostForm.Get("coin")), strings.TrimSpace(r.PostForm.Get("address"))
	return d.changed(w, r, v, change{"settlement", d.Integrator.Settle(r.Context(), v.By, payment.ID(r.PathValue("id")), engine.Target{Coin: coin, Address: address})})
}

func (d *door) vetoSettlement(w http.ResponseWriter, r *http.Request, v *visit) error {
	err := d.Integrator.Veto(r.Context(), v.By, payment.ID(r.PathValue("id")), money.Currency(r.PostForm.Get("coin")))
	return d.changed(w, r, v, change{"settlement", err})
}

func (d *door) saveCallbacks(w http.ResponseWriter, r *http.Request, v *visit) error {
	on := func(name string) bool { return r.PostForm.Get(name) != "" }
	_, err := d.Integrator.Set(r.Context(), v.By, payment.ID(r.PathValue("id")), engine.Edit{
		Change: engine.Change{Callback: func(c *payment.CallbackSettings) {
			c.Encoding = payment.Encoding(r.PostForm.Get("encoding"))
			c.Seen, c.Expired, c.Refunded, c.Reversed = on("seen"), on("expired"), on("refunded"), on("reversed")
		}}, Action: "application.callbacks",
		Data: func(_, is payment.Application) map[string]any {
			c := is.Callback
			return map[string]any{"encoding": c.Encoding, "seen": c.Seen, "expired": c.Expired, "refunded": c.Refunded, "reversed": c.Reversed}
		},
	})
	return d.changed(w, r, v, change{"callbacks", err})
}

// saveLook sets how the payment page looks. A logo comes as a file; none keeps the one that there is.
func (d *door) saveLook(w http.ResponseWriter, r *http.Request, v *visit) error {
	logo, err := upload(r, "logo")
	if err != nil {
		return d.changed(w, r, v, change{"look", err})
	}
	drop := r.PostForm.Get("no_logo") != ""
	color := strings.ToLower(strings.TrimSpace(r.PostForm.Get("color")))
	if r.PostForm.Get("own_color") == "" {
		color = ""
	}
	_, err = d.Integrator.Set(r.Context(), v.By, payment.ID(r.PathValue("id")), engine.Edit{
		Change: engine.Change{Settings: func(s *payment.Settings) {
			s.Look.Color, s.Look.Support = color, strings.TrimSpace(r.PostForm.Get("support"))
			if len(logo) > 0 {
				s.Look.Logo = logo
			} else if drop {
				s.Look.Logo = nil
			}
		}}, Action: "application.look", Quiet: true,
		Data: func(_, is payment.Application) map[string]any {
			l := is.Settings.Look
			return map[string]any{"color": l.Color, "support": l.Support, "logo_bytes": len(l.Logo)}
		},
	})
	return d.changed(w, r, v, change{"look", err})
}

// upload is a file of the form, nil where none was chosen.
func upload(r *http.Request, name string) (body []byte, err error) {
	if r.MultipartForm == nil || len(r.MultipartForm.File[name]) == 0 {
		return nil, nil //nolint:nilnil // no file is no mistake
	}
	head := r.MultipartForm.File[name][0]
	if head.Size > payment.MaxLogo {
		return nil, payment.Malformed(name, "has more than %d KiB", payment.MaxLogo>>10)
	}
	f, err := head.Open()
	if err != nil {
		return nil, fmt.Errorf("open upload: %w", err)
	}
	body, err = io.ReadAll(io.LimitReader(f, payment.MaxLogo+1))
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return nil, fmt.Errorf("read upload: %w", err)
	}
	return body, nil
}

// logo answers an application's logo.
func (d *door) logo(w http.ResponseWriter, r *http.Request, v *visit) error {
	app, _, err := d.Integrator.Application(r.Context(), v.By, payment.ID(r.PathValue("id")))
	if err != nil {
		return err
	}
	body := app.Settings.Look.Logo
	if len(body) == 0 {
		return noPage()
	}
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if _, err := w.Write(body); err != nil {
		return fmt.Errorf("send logo: %w", err)
	}
	return nil
}

// visible is a shop's answer with its invisible characters shown.
func visible(body []byte) string {
	quoted := strconv.Quote(string(body))
	return quoted[1 : len(quoted)-1]
}
