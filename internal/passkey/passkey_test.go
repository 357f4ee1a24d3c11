package passkey_test

import (
	"testing"

	"github.com/pipe-pg/pipe/internal/passkey"
	"github.com/pipe-pg/pipe/internal/payment"
)

// TestPossible: passkeys need a name.
func TestPossible(t *testing.T) {
	for origin, want := range map[string]bool{
		"https://admin.example": true, "http://localhost:8081": true, "http://127.0.0.1:8081": false, "https://[::1]": false, "": false, "x": false,
	} {
		if passkey.Possible(origin) != want {
			t.Errorf("%q: not %v", origin, want)
		}
		if v, err := passkey.New(origin); want && (err != nil || v == nil) {
			t.Errorf("%q: %v", origin, err)
		}
	}
}

// TestNonsense: an answer that is none is an error, whatever it is made of.
func TestNonsense(t *testing.T) {
	v, err := passkey.New("https://admin.example")
	if err != nil {
		t.Fatal(err)
	}
	u := payment.User{ID: "01J00000000000000000000000", Email: "a@b.example", Name: "A"}
	_, add, err := v.BeginAdd(u, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, login, err := v.BeginLogIn()
	if err != nil {
		t.Fatal(err)
	}
	find := func(payment.ID) (payment.User, []payment.Credential, error) { return u, nil, nil }
	for _, answer := range []string{"", "null", "{}", "[]", `{"id":"x"}`, `{"id":"eA","rawId":"eA","type":"public-key","response":{}}`} {
		if _, _, err := v.FinishAdd(u, add, []byte(answer)); err == nil {
			t.Errorf("add takes %s", answer)
		}
		if _, _, err := v.FinishLogIn(login, []byte(answer), find); err == nil {
			t.Errorf("log-in takes %s", answer)
		}
	}
}
