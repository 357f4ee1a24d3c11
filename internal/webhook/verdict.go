package webhook

import (
	"bytes"
	"encoding/json"
	"strings"
)

// A Verdict is one word for what came of a try.
type Verdict string

// The verdicts.
const (
	Delivered         Verdict = "delivered"
	Quoted            Verdict = "quoted"
	PHPNotice         Verdict = "php-notice"
	HTML              Verdict = "html"
	Empty             Verdict = "empty"
	Redirect          Verdict = "redirect"
	Forbidden         Verdict = "forbidden"
	NotFound          Verdict = "not-found"
	Method            Verdict = "method"
	BadStatus         Verdict = "bad-status"
	Timeout           Verdict = "timeout"
	TLS               Verdict = "tls"
	DNS               Verdict = "dns"
	RefusedConnection Verdict = "refused-connection"
	NotPublic         Verdict = "not-public"
	TooLong           Verdict = "too-long"
	Interrupted       Verdict = "interrupted"
	Other             Verdict = "other"
)

// An explanation is a verdict's line in English and Korean.
type explanation struct{ en, ko string }

var explanations = map[Verdict]explanation{
	Delivered: {"Delivered: the answer is ok.",
		"정상 수신: ok 응답을 받았습니다."},
	Quoted: {"Refused: print ok without quotes, not JSON.",
		"거절: 따옴표나 JSON 없이 ok만 출력해 주세요."},
	PHPNotice: {"Refused: a PHP notice is printed beside ok. Turn off display_errors.",
		"거절: ok와 함께 PHP 경고가 출력됩니다. display_errors를 꺼 주세요."},
	HTML: {"Refused: an HTML page came back. Is it a login page or a catch-all route? Print only ok.",
		"거절: HTML 페이지가 응답되었습니다. 로그인 페이지나 기본 페이지로 연결되는지 확인하고 ok만 출력해 주세요."},
	Empty: {"Refused: the answer is empty. The script ended before it printed ok.",
		"거절: 응답이 비어 있습니다. ok를 출력하기 전에 스크립트가 끝났습니다."},
	Redirect: {"Refused: redirects are not followed. Register the final URL.",
		"거절: 리다이렉트는 따라가지 않습니다. 최종 URL을 등록해 주세요."},
	Forbidden: {"Refused: a firewall or a login stands before the URL (401, 403). Let our IP addresses in.",
		"거절: 방화벽이나 로그인에 막혔습니다(401, 403). PIPE의 IP 주소를 허용해 주세요."},
	NotFound: {"Refused: nothing is at this path (404). Check the URL.",
		"거절: 해당 경로에 아무것도 없습니다(404). URL을 확인해 주세요."},
	Method: {"Refused: the path does not take POST (405). Route POST to the script.",
		"거절: 해당 경로가 POST를 받지 않습니다(405). POST 요청을 처리하도록 설정해 주세요."},
	BadStatus: {"Refused: both are needed, a status of 2xx and the body ok.",
		"거절: 2xx 상태 코드와 ok 본문이 모두 필요합니다."},
	Timeout: {"No whole answer in time. Answer ok first, work later.",
		"시간 안에 응답이 끝나지 않았습니다. 먼저 ok를 응답하고 나머지 작업은 그 뒤에 처리해 주세요."},
	TLS: {"The TLS connection failed. Check the certificate, its chain, its date and its name.",
		"TLS 연결에 실패했습니다. 인증서와 체인, 유효 기간, 도메인 이름을 확인해 주세요."},
	DNS: {"The host name has no address. Check the URL and the DNS records.",
		"호스트 이름의 주소를 찾을 수 없습니다. URL과 DNS 레코드를 확인해 주세요."},
	RefusedConnection: {"No connection. Is the server running, and is the port open to us?",
		"연결할 수 없습니다. 서버가 실행 중인지, 포트가 열려 있는지 확인해 주세요."},
	NotPublic: {"Not sent: the URL does not lead to a public address that callbacks may go to.",
		"보내지 않음: URL이 콜백을 보낼 수 있는 공인 주소가 아닙니다."},
	TooLong: {"Refused: the answer is longer than 1 KiB. Print only ok.",
		"거절: 응답이 1 KiB를 넘습니다. ok만 출력해 주세요."},
	Interrupted: {"Stopped while sending. It will be sent again.",
		"보내는 중에 중단되었습니다. 다시 보냅니다."},
	Other: {"Refused: the answer is not ok. Print only ok.",
		"거절: 응답이 ok가 아닙니다. ok만 출력해 주세요."},
}

// Explain is the verdict in one line, with its cure: in Korean for "ko" and "kr", else in English.
func (v Verdict) Explain(lang string) string {
	e, known := explanations[v]
	if !known {
		e = explanations[Other]
	}
	if lang == "ko" || lang == "kr" {
		return e.ko
	}
	return e.en
}

// Judgement is the verdict on a whole answer. The body may be cut off behind MaxReply bytes, at least one of them kept so
// that a longer body can be told from one that just fits.
func Judgement(status int, body []byte) Verdict {
	long := len(body) > MaxReply
	text := trim(body)
	ok := !long && len(text) == len("ok") && bytes.EqualFold(text, []byte("ok"))
	switch {
	case status >= 200 && status <= 299:
		if ok {
			return Delivered
		}
		return wrongBody(text, long)
	case ok && status >= 400:
		return BadStatus
	case status >= 300 && status <= 399:
		return Redirect
	case status == 401 || status == 403 || status == 407:
		return Forbidden
	case status == 404:
		return NotFound
	case status == 405:
		return Method
	}
	return BadStatus
}

func wrongBody(text []byte, long bool) Verdict {
	lower := bytes.ToLower(text)
	switch {
	case isPHPNotice(lower):
		return PHPNotice
	case bytes.HasPrefix(lower, []byte("<")):
		return HTML
	case long:
		return TooLong
	case len(text) == 0:
		return Empty
	case isQuoted(text):
		return Quoted
	}
	return Other
}

// isPHPNotice knows how PHP prints notices, in HTML and in plain text, behind ok or before it.
func isPHPNotice(lower []byte) bool {
	if rest, found := bytes.CutPrefix(lower, []byte("ok")); found {
		rest = bytes.TrimSpace(rest)
		if bytes.HasPrefix(rest, []byte("<br")) {
			return true
		}
	}
	for _, word := range []string{"warning", "notice", "deprecated", "fatal error", "parse error", "strict standards"} {
		for _, form := range []string{"<b>" + word + "</b>:", "php " + word + ":"} {
			if bytes.Contains(lower, []byte(form)) {
				return true
			}
		}
		plain := []byte(word + ": ")
		if bytes.Contains(lower, plain) && bytes.Contains(lower, []byte(" on line ")) {
			return true
		}
	}
	return false
}

// isQuoted knows a quoted ok and any JSON.
func isQuoted(text []byte) bool {
	bare := strings.Trim(string(text), `"'`+"`“”‘’")
	return len(bare) < len(text) && strings.EqualFold(bare, "ok") || json.Valid(text)
}

// trim takes off byte order marks and white space around the body.
func trim(body []byte) []byte {
	for {
		shorter := bytes.TrimSpace(bytes.TrimPrefix(bytes.TrimSpace(body), []byte("\ufeff")))
		if len(shorter) == len(body) {
			return body
		}
		body = shorter
	}
}
