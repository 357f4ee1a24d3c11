package engine_test

import (
	"bytes"
	"image"
	"image/png"
	"testing"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

func picture(t *testing.T, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestLookIsKept: what an application's page looks like is kept with it, and no logo but a small picture is taken.
func TestLookIsKept(t *testing.T) {
	r := newRig(t)
	set := func(l payment.Look) (payment.Application, error) {
		return r.desk.SetApplication(t.Context(), r.app.ID, engine.Change{Settings: func(s *payment.Settings) { s.Look = l }})
	}
	logo := picture(t, 120, 40)
	if _, err := set(payment.Look{Color: "#0a1b2c", Logo: logo, Support: "help@shop.example"}); err != nil {
		t.Fatal(err)
	}
	id := r.create("25")
	v, err := r.desk.Page(t.Context(), id)
	if look := v.Application.Settings.Look; err != nil || look.Color != "#0a1b2c" || look.Support != "help@shop.example" || !bytes.Equal(look.Logo, logo) {
		t.Errorf("kept %+v %v", look, err)
	}
	for name, bad := range map[string][]byte{"text": []byte("<svg onload=alert(1)>"), "cut": logo[:len(logo)-20], "large": picture(t, 4000, 10)} {
		if _, err := set(payment.Look{Logo: bad}); err == nil {
			t.Errorf("%s is taken for a logo", name)
		}
	}
	if _, err := set(payment.Look{Color: "blue"}); err == nil {
		t.Error("blue is taken for a colour")
	}
}
