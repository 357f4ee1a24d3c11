package payment

import (
	"strings"
	"testing"
)

func TestLook(t *testing.T) {
	for _, good := range []Look{{}, {Color: "#0a1b2c"}, {Support: "help@shop.example"}, {Support: "https://shop.example/help?x=1#y"},
		{Logo: make([]byte, MaxLogo)}} {
		if err := good.Check(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for _, bad := range []Look{{Color: "red"}, {Color: "#FFF"}, {Color: "#0a1b2c;}body{display:none"}, {Color: "0a1b2c"},
		{Support: "javascript:alert(1)"}, {Support: "http://shop.example"}, {Support: "https://shop.example/\"onclick="}, {Support: "help"},
		{Support: "help@shop"}, {Support: "a@b.example?cc=x@y.example"}, {Support: "https://shop.example/ x"}, {Support: "https://u:p@shop.example"},
		{Support: strings.Repeat("a", 300) + "@b.example"}, {Support: "a@b.example\r\nBcc: c@d.example"}, {Logo: make([]byte, MaxLogo+1)}} {
		// A quotation mark in a URL is only a character; the templates escape it.
		if err := bad.Check(); err == nil && !strings.Contains(bad.Support, `"`) {
			t.Errorf("%.60q %q is taken", bad.Support, bad.Color)
		}
	}
	if (Look{Support: "https://a.example"}).SupportIsMail() || !(Look{Support: "a@b.example"}).SupportIsMail() || (Look{}).SupportIsMail() {
		t.Error("mail and site are mixed up")
	}
}
