package api

import (
	"net/url"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/engine"
)

// TestA8WrongWorld: a key of the other world is refused with 4010 and told where it belongs, in both languages; whatever begins like one
// of this world is as unknown as ever.
func TestA8WrongWorld(t *testing.T) {
	r := newRig(t, rigOptions{})
	call := func(key string, header ...string) reply {
		return r.post(createPath, urlencoded, url.Values{"api_key": {key}}.Encode(), header...)
	}
	zeros := strings.Repeat("0", 72)
	for _, c := range []struct {
		name     string
		world    engine.World
		key      string
		want, ko string
	}{
		{"test key on a live server", engine.World{Other: "https://sandbox.example"}, engine.KeyTest, "this is a test key, and this server is live: call https://sandbox.example with it", "테스트 키입니다. 이 서버는 실제 결제용입니다. 이 키로는 https://sandbox.example에"},
		{"live key on a test server", engine.World{Test: true, Other: "https://pay.example"}, engine.KeyLive, "this is a live key, and the coins here have no worth: call https://pay.example with it", "실제 결제용 키입니다. 이 서버의 코인에는 가치가 없습니다. 이 키는 https://pay.example에서"},
		{"nobody said where", engine.World{Test: true}, engine.KeyLive, "call the live server with it, or take a test key of this one", "실제 서버를 호출하거나"},
		{"nor here", engine.World{}, engine.KeyTest, "call the test server with it, or take a live key of this one", "테스트 서버를 호출하거나"},
		{"of this live world", engine.World{Other: "https://sandbox.example"}, engine.KeyLive, "unknown api key", "등록되지 않은 API 키입니다"},
		{"of this test world", engine.World{Test: true, Other: "https://pay.example"}, engine.KeyTest, "unknown api key", "등록되지 않은 API 키입니다"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.desk.World = c.world
			for header, want := range map[string]string{"en": c.want, "ko": c.ko} {
				a := call(c.key+zeros, "Accept-Language", header)
				a.want(t, 4010, "api_key")
				if a.status != 401 || !strings.Contains(a.msg, want) {
					t.Errorf("%s: %d %q, want %q", header, a.status, a.msg, want)
				}
			}
		})
	}
}
