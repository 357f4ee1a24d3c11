package browsertest

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/checkout/gallery"
	"github.com/pipe-pg/pipe/internal/webtest"
)

// A fox is a headless Firefox, driven by Marionette, its own protocol: JSON arrays behind their length, over TCP.
type fox struct {
	*testing.T
	conn net.Conn
	in   *bufio.Reader
	last int
}

// openFox starts Firefox, or says why the smoke does not run: it is no part of what must be there, but never silently absent.
func openFox(t *testing.T) *fox {
	t.Helper()
	path, err := exec.LookPath("firefox-esr")
	if err != nil {
		if os.Getenv("PIPE_NEED_FIREFOX") != "" {
			t.Fatal("no firefox-esr: apt-get install -y firefox-esr")
		}
		t.Skip("NOT PROVEN: C33, the page in Firefox: there is no firefox-esr (apt-get install -y firefox-esr)")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free just now
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	prefs := fmt.Sprintf("user_pref(\"marionette.port\", %d);\nuser_pref(\"network.dns.localDomains\", \"pay.test,shop.test\");\n"+
		"user_pref(\"network.proxy.type\", 0);\nuser_pref(\"browser.shell.checkDefaultBrowser\", false);\nuser_pref(\"datareporting.policy.dataSubmissionEnabled\", false);\n"+
		"user_pref(\"app.update.enabled\", false);\nuser_pref(\"toolkit.telemetry.enabled\", false);\n", port)
	if err := os.WriteFile(filepath.Join(dir, "user.js"), []byte(prefs), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--headless", "--marionette", "--no-remote", "--profile", dir)
	cmd.Env = append(os.Environ(), "HOME="+dir, "MOZ_CRASHREPORTER_DISABLE=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() //nolint:errcheck // it may have ended
		_ = cmd.Wait()         //nolint:errcheck // killed
	})
	f := &fox{T: t}
	for end := time.Now().Add(webtest.Patience); ; time.Sleep(100 * time.Millisecond) {
		if f.conn, err = (&net.Dialer{}).DialContext(t.Context(), "tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("Firefox does not answer: %v", err)
		}
	}
	t.Cleanup(func() {
		if err := f.conn.Close(); err != nil {
			t.Error(err)
		}
	})
	f.in = bufio.NewReader(f.conn)
	f.read() // its greeting
	f.call("WebDriver:NewSession", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{"acceptInsecureCerts": true}}})
	return f
}

func (f *fox) read() json.RawMessage {
	f.Helper()
	if err := f.conn.SetReadDeadline(time.Now().Add(webtest.Patience)); err != nil {
		f.Fatal(err)
	}
	size, err := f.in.ReadString(':')
	if err != nil {
		f.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSuffix(size, ":"))
	if err != nil {
		f.Fatal(err)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(f.in, b); err != nil {
		f.Fatal(err)
	}
	return b
}

func (f *fox) call(name string, params any) json.RawMessage {
	f.Helper()
	f.last++
	b, err := json.Marshal([]any{0, f.last, name, params})
	if err != nil {
		f.Fatal(err)
	}
	if _, err := fmt.Fprintf(f.conn, "%d:%s", len(b), b); err != nil {
		f.Fatal(err)
	}
	var answer [4]json.RawMessage
	if err := json.Unmarshal(f.read(), &answer); err != nil {
		f.Fatal(err)
	}
	if string(answer[2]) != "null" {
		f.Fatalf("%s: %s", name, answer[2])
	}
	return answer[3]
}

func (f *fox) open(url string) {
	f.Helper()
	f.call("WebDriver:Navigate", map[string]any{"url": url})
}

// eval is the value of an expression in the page, as JSON.
func (f *fox) eval(expression string) string {
	f.Helper()
	var v struct {
		Value json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(f.call("WebDriver:ExecuteScript", map[string]any{"script": "return " + expression, "args": []any{}, "sandbox": "default"}), &v); err != nil {
		f.Fatal(err)
	}
	return string(v.Value)
}

func (f *fox) wait(expression string) {
	f.Helper()
	for end := time.Now().Add(webtest.Patience); f.eval("!!("+expression+")") != "true"; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			f.Fatalf("never true: %s\n%s", expression, f.eval("document.body.innerText"))
		}
	}
}

func (f *fox) click(selector string) {
	f.Helper()
	var found struct {
		Value map[string]string `json:"value"`
	}
	if err := json.Unmarshal(f.call("WebDriver:FindElement", map[string]any{"using": "css selector", "value": selector}), &found); err != nil {
		f.Fatal(err)
	}
	for _, id := range found.Value {
		f.call("WebDriver:ElementClick", map[string]any{"id": id})
	}
}

// TestC33Firefox: a payer's way in Firefox ESR: choosing, the code that a camera reads, copying, the live page to the end, the
// refund form, and a layer in a shop's page.
func TestC33Firefox(t *testing.T) {
	f := openFox(t)
	s := serve(t, nil)
	f.open(s.page("choose") + "?lang=ko")
	f.click("#coin-BTC")
	f.wait("document.querySelector('.qr')")
	if zbar, err := exec.LookPath("zbarimg"); err == nil {
		var shot struct {
			Value string `json:"value"`
		}
		if err := json.Unmarshal(f.call("WebDriver:TakeScreenshot", map[string]any{"full": true}), &shot); err != nil {
			t.Fatal(err)
		}
		png, err := base64.StdEncoding.DecodeString(shot.Value)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "fox.png")
		if err := os.WriteFile(path, png, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), zbar, "-q", "--raw", path).Output()
		if got, want := strings.TrimSpace(string(out)), "bitcoin:"+gallery.BTCAddress+"?amount=0.00066731"; err != nil || got != want {
			t.Errorf("scanned %q (%v), want %q", got, err, want)
		}
	}
	f.click(".amount .copy")
	f.wait("document.getElementById('say').textContent==='복사했습니다'")
	s.Put(gallery.ID("choose"), view(t, "seen"))
	f.wait("document.title==='입금 감지'&&!document.querySelector('.qr')")
	s.Put(gallery.ID("choose"), view(t, "paid"))
	f.wait("document.title==='✓ 결제 완료'&&document.querySelector('.tickmark')")
	if wide := f.eval("document.documentElement.scrollWidth-document.documentElement.clientWidth"); wide != "0" {
		t.Errorf("scrolls sideways by %s px", wide)
	}
	f.open(s.page("partial-expired"))
	f.click(".payback.need a.button")
	f.wait("document.querySelector('input[name=address]')")
	f.eval("(document.querySelector('input[name=address]').value='" + gallery.BTCAddress + "',1)")
	f.click("button.primary")
	f.wait("document.querySelector('.address.big')")

	origin := shop(t, "shop.test", s, opens(s.page("await-btc"), "layer"))
	s.Put(gallery.ID("await-btc"), layered(origin, "await-btc", t))
	f.open(origin)
	f.click("#pay")
	f.wait("window.wrappedJSObject.log[0]==='status 1/0'")
	s.Put(gallery.ID("await-btc"), layered(origin, "paid", t))
	f.wait("window.wrappedJSObject.log.includes('closed 2')")
	if got := f.eval("window.wrappedJSObject.log.join(', ')"); got != `"status 1/0, status 2/1, close, closed 2"` {
		t.Errorf("the shop heard %s", got)
	}
}
