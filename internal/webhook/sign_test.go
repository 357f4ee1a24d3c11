package webhook

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func signed(t *testing.T, id string, at time.Time, body []byte, secrets ...[]byte) http.Header {
	t.Helper()
	signature, err := Sign(id, at, body, secrets)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	h.Set(HeaderID, id)
	h.Set(HeaderTimestamp, timestamp(at))
	h.Set(HeaderSignature, signature)
	return h
}

func TestSignWithOfficialGoLibrary(t *testing.T) {
	current, previous, foreign := NewSecret(), NewSecret(), NewSecret()
	body := []byte(`{"code":1,"message":"success","data":{"order_name":"주문 이름","price":10500}}`)
	now := time.Now()
	check := func(secret []byte, h http.Header, body []byte) error {
		wh, err := standardwebhooks.NewWebhook(SecretText(secret))
		if err != nil {
			t.Fatal(err)
		}
		return wh.Verify(body, h)
	}
	one := signed(t, "944B4B9C", now, body, current)
	two := signed(t, "test_944B4B9C", now, body, current, previous)
	for name, c := range map[string]struct {
		secret []byte
		h      http.Header
		body   []byte
		ok     bool
	}{
		"one secret":             {current, one, body, true},
		"rotation, current":      {current, two, body, true},
		"rotation, previous":     {previous, two, body, true},
		"another secret":         {foreign, two, body, false},
		"body altered":           {current, one, bytes.Replace(body, []byte("10500"), []byte("10501"), 1), false},
		"id altered":             {current, with(one, HeaderID, "944B4B9D"), body, false},
		"timestamp altered":      {current, with(one, HeaderTimestamp, timestamp(now.Add(time.Second))), body, false},
		"older than 5 minutes":   {current, signed(t, "a", now.Add(-MaxSignatureAge-2*time.Second), body, current), body, false},
		"nearly 5 minutes old":   {current, signed(t, "a", now.Add(-MaxSignatureAge+10*time.Second), body, current), body, true},
		"from the future":        {current, signed(t, "a", now.Add(MaxSignatureAge+10*time.Second), body, current), body, false},
		"signature of the other": {foreign, with(one, HeaderSignature, two.Get(HeaderSignature)), body, false},
	} {
		if err := check(c.secret, c.h, c.body); (err == nil) != c.ok {
			t.Errorf("%s: got %v, want ok %v", name, err, c.ok)
		}
	}
}

// The vector of the specification's reference libraries.
func TestSignVector(t *testing.T) {
	secret, err := ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`), [][]byte{secret})
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func with(h http.Header, name, value string) http.Header {
	h = h.Clone()
	h.Set(name, value)
	return h
}

func TestSignRefuses(t *testing.T) {
	good := NewSecret()
	for name, c := range map[string]struct {
		id      string
		secrets [][]byte
	}{
		"no id":         {"", [][]byte{good}},
		"dot in id":     {"a.b", [][]byte{good}},
		"line in id":    {"a\r\nX: y", [][]byte{good}},
		"no secret":     {"a", nil},
		"three secrets": {"a", [][]byte{good, good, good}},
		"short secret":  {"a", [][]byte{good[:MinSecret-1]}},
		"empty secret":  {"a", [][]byte{good, {}}},
	} {
		if got, err := Sign(c.id, time.Now(), nil, c.secrets); err == nil {
			t.Errorf("%s: signed %q", name, got)
		}
	}
}

func TestSecretText(t *testing.T) {
	secret := NewSecret()
	back, err := ParseSecret(SecretText(secret))
	if err != nil || !bytes.Equal(back, secret) {
		t.Errorf("got %v, %v", back, err)
	}
	if bytes.Equal(secret, NewSecret()) {
		t.Error("two secrets are equal")
	}
	for _, bad := range []string{"", "whsec_", "whsec_AAAA", strings.TrimPrefix(SecretText(secret), "whsec_"), "whsec_!!!!", SecretText(make([]byte, 65))} {
		_, err := ParseSecret(bad)
		if err == nil {
			t.Errorf("took %q", bad)
		} else if len(bad) > 12 && strings.Contains(err.Error(), bad[8:]) {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
}

const verifyScript = `
const { Webhook } = require("standardwebhooks");
const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(cases.map(c => {
  try { new Webhook(c.secret).verify(c.body, c.headers); return true; } catch (e) { return false; }
})));
`

// The official npm library must take what PIPE signs. It is installed once into the user's cache.
func TestSignWithOfficialNpmLibrary(t *testing.T) {
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Logf("NOT PROVEN: %s is not installed, so the npm library standardwebhooks did not check the signatures", tool)
			return
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	dir := filepath.Join(cache, "pipe-test", "standardwebhooks-1.1.1")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "standardwebhooks", "package.json")); err != nil {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		install := exec.CommandContext(t.Context(), "npm", "install", "--prefix", dir, "--no-audit", "--no-fund", "--ignore-scripts",
			"--fetch-timeout=20000", "--fetch-retries=1", "standardwebhooks@1.1.1")
		if out, err := install.CombinedOutput(); err != nil {
			t.Logf("NOT PROVEN: npm cannot install standardwebhooks 1.1.1, so it did not check the signatures: %v\n%s", err, out)
			return
		}
	}
	type testCase struct {
		Secret  string            `json:"secret"`
		Body    string            `json:"body"`
		Headers map[string]string `json:"headers"`
	}
	current, previous, foreign := NewSecret(), NewSecret(), NewSecret()
	var cases []testCase
	var want []bool
	add := func(ok bool, secret []byte, body string, h http.Header) {
		headers := map[string]string{}
		for name := range h {
			headers[strings.ToLower(name)] = h.Get(name)
		}
		cases, want = append(cases, testCase{SecretText(secret), body, headers}), append(want, ok)
	}
	body := `{"code":1,"message":"success","data":{"order_name":"주문 <이름> & \"x\"","price":12.34}}`
	form := "code=1&message=success&data%5Border_name%5D=%EC%A3%BC%EB%AC%B8"
	now := time.Now()
	add(true, current, body, signed(t, "A1", now, []byte(body), current))
	add(true, current, body, signed(t, "test_A1", now, []byte(body), current, previous))
	add(true, previous, body, signed(t, "A1", now, []byte(body), current, previous))
	add(false, foreign, body, signed(t, "A1", now, []byte(body), current, previous))
	add(false, current, strings.Replace(body, "12.34", "12.35", 1), signed(t, "A1", now, []byte(body), current))
	add(false, current, body, signed(t, "A1", now.Add(-6*time.Minute), []byte(body), current))
	add(false, foreign, form, signed(t, "A1", now, []byte(form), current))

	input, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	node := exec.CommandContext(t.Context(), "node", "-e", verifyScript)
	node.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(dir, "node_modules"))
	node.Stdin = bytes.NewReader(input)
	out, err := node.Output()
	if err != nil {
		t.Fatalf("run node: %v", err)
	}
	var got []bool
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("read %q: %v", out, err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("case %d: verified %v, want %v", i, got[i], want[i])
		}
	}
}
