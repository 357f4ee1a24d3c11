package api

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/pipe-pg/pipe/internal/payment"
)

// A phrase is a message of a refusal with {} for its particulars, and the same in Korean, with the particulars in the same
// order.
type phrase struct{ en, ko string }

// phrases are the messages that name particulars. A test reads the engine's own messages and finds each of them here.
var phrases = []phrase{
	{"is missing", "값이 없습니다."},
	{"is missing: give the whole URL, like https://shop.example/callback", "값이 없습니다. https://shop.example/callback 처럼 전체 URL을 입력하세요."},
	{"is sent twice: send each field once", "두 번 전송되었습니다. 한 번만 보내세요."},
	{"is sent twice: send it once", "두 번 전송되었습니다. 한 번만 보내세요."},
	{"is empty: send a text that is new for each invoice or refund, or leave the header out", "비어 있습니다. Invoice나 환불마다 새로운 값을 보내거나 헤더를 생략하세요."},
	{"is not valid UTF-8", "올바른 UTF-8이 아닙니다."},
	{"has characters that are not Unicode", "유니코드가 아닌 문자가 있습니다."},
	{"has characters that cannot be printed", "출력할 수 없는 문자가 있습니다."},
	{"has more than {} characters", "{}자를 넘습니다."},
	{"has a broken percent escape", "퍼센트 인코딩이 잘못되었습니다."},
	{"has a Content-Transfer-Encoding that is not read: send the text as it is", "지원하지 않는 Content-Transfer-Encoding입니다. 값을 그대로 보내세요."},
	{"must be a text or a number", "문자열이나 숫자여야 합니다."},
	{"must be followed by => and its value", "뒤에 => 와 값이 있어야 합니다."},
	{"must be followed by a comma or the closing brace", "뒤에 쉼표나 닫는 중괄호가 있어야 합니다."},
	{"has no value behind =>", "=> 뒤에 값이 없습니다."},
	{"must be in quotes, or a comma behind it is missing", "따옴표로 감싸야 하거나, 뒤에 쉼표가 빠졌습니다."},
	{"must be Bearer and the api key, once", "Bearer와 API 키여야 하며 한 번만 보내야 합니다."},
	{"differs from the key in Authorization: send only one", "Authorization의 키와 다릅니다. 하나만 보내세요."},
	{"must be the {} hex digits that invoice/create answered", "invoice/create가 응답한 16진수 {}자리여야 합니다."},
	{"must be KRW or USD", "KRW 또는 USD여야 합니다."},
	{"must be above zero", "0보다 커야 합니다."},
	{"must be at most {}", "{} 이하여야 합니다."},
	{"must be en or kr", "en 또는 kr이어야 합니다."},
	{"must be redirect, popup or layer", "redirect, popup, layer 중 하나여야 합니다."},
	{"a number has at most {} characters", "숫자는 {}자 이하여야 합니다."},
	{"a number is missing", "숫자가 없습니다."},
	{"{} is not a plain decimal number like 10500 or 12.34", "{}: 10500이나 12.34 같은 십진수가 아닙니다."},
	{"{} begins with a superfluous zero", "{}: 불필요한 0으로 시작합니다."},
	{"{} has at most {} decimals, {} has more", "{} 금액은 소수점 아래 {}자리까지입니다: {}"},
	{"is not an address of a coin of this application ({})", "이 애플리케이션에서 사용하는 코인의 주소가 아닙니다. ({})"},
	{"has white space, control characters, backslashes or characters that are not ASCII: encode them", "공백, 제어 문자, 백슬래시 또는 ASCII가 아닌 문자가 있습니다. 인코딩해서 보내세요."},
	{"is not a whole URL like https://shop.example/callback", "https://shop.example/callback 같은 전체 URL이 아닙니다."},
	{"must begin with https://", "https://로 시작해야 합니다."},
	{"must not contain a user name or password", "사용자 이름이나 비밀번호가 없어야 합니다."},
	{"must not contain a fragment (#)", "프래그먼트(#)가 없어야 합니다."},
	{"must not contain . or .. segments, nor encoded slashes", ".이나 .. 경로 또는 인코딩된 슬래시가 없어야 합니다."},

	{"this is a live key, and the coins here have no worth: call the live server with it, or take a test key of this one", "실제 결제용 키입니다. 이 서버의 코인에는 가치가 없습니다. 실제 서버를 호출하거나 이 서버의 테스트 키를 사용하세요."},
	{"this is a live key, and the coins here have no worth: call {} with it", "실제 결제용 키입니다. 이 서버의 코인에는 가치가 없습니다. 이 키는 {}에서 사용하세요."},
	{"this is a test key, and this server is live: call the test server with it, or take a live key of this one", "테스트 키입니다. 이 서버는 실제 결제용입니다. 테스트 서버를 호출하거나 이 서버의 실제 키를 사용하세요."},
	{"this is a test key, and this server is live: call {} with it, or take a live key of this one", "테스트 키입니다. 이 서버는 실제 결제용입니다. 이 키로는 {}에 요청하거나, 이 서버의 실제 키를 사용하세요."},
	{"this IP address, {}, is not registered for the application: register it, then call again", "등록되지 않은 IP 주소입니다: {}. 애플리케이션에 등록한 뒤 다시 호출하세요."},
	{"too many requests: wait {} seconds, then call again", "요청이 너무 많습니다. {}초 뒤에 다시 호출하세요."},
	{"the body has more than {} fields", "본문의 필드가 {}개를 넘습니다."},
	{"the body has more than {} bytes", "본문이 {}바이트를 넘습니다."},
	{"a field has more than {} bytes", "필드가 {}바이트를 넘습니다."},
	{"the header of a part has more than {} bytes", "파트의 헤더가 {}바이트를 넘습니다."},
	{"too many big bodies at once: send only the parameters of the call", "큰 본문이 한꺼번에 너무 많습니다. API의 매개변수만 보내세요."},
	{"the body did not arrive within {} seconds: send it at once", "본문이 {}초 안에 도착하지 않았습니다. 한 번에 보내세요."},
	{"the body ended early: send it whole", "본문이 중간에 끊겼습니다. 끝까지 보내세요."},
	{"the body is not a valid JSON object in UTF-8", "본문이 올바른 UTF-8 JSON 객체가 아닙니다."},
	{"the body is not valid multipart/form-data: let your HTTP library write it and its boundary", "본문이 올바른 multipart/form-data가 아닙니다. HTTP 라이브러리가 본문과 boundary를 만들게 하세요."},
	{"a refund of this invoice was asked for before: data tells which", "이미 환불이 요청된 Invoice입니다. data에서 해당 환불을 확인하세요."},
	{"this invoice is not paid yet: only a paid invoice can be refunded", "아직 결제되지 않은 Invoice입니다. 결제 완료된 Invoice만 환불할 수 있습니다."},
	{"this invoice expired: what came for it goes back to the payer by itself", "만료된 Invoice입니다. 입금된 금액은 결제자에게 자동으로 환불됩니다."},
	{"this api key may not ask for refunds: use one that may", "이 API 키로는 환불을 요청할 수 없습니다. 권한이 있는 API 키를 사용하세요."},
	{"this invoice is refunded", "이미 환불된 Invoice입니다."},
	{"this Idempotency-Key was used with other parameters: use a new key for another call", "이미 다른 매개변수로 사용된 Idempotency-Key입니다. 다른 호출에는 새 키를 사용하세요."},
	{"{} is not taken here: call with POST", "{} 메서드는 사용할 수 없습니다. POST로 호출하세요."},
	{"{} is not taken here: read with GET", "{} 메서드는 사용할 수 없습니다. GET으로 읽으세요."},
}

// inKorean is a refusal's message in Korean. Particulars stay as they are; what has no phrase is introduced in Korean.
func inKorean(e *payment.Error) string {
	message, ok := translate(e.Message)
	if !ok {
		message = codeOf(e).korean
		if e.Word == payment.WordMalformed && e.Field != "" {
			message = "올바르지 않은 값입니다: " + e.Message
		} else if e.Word == payment.WordMalformed {
			message += " (" + e.Message + ")"
		}
	}
	if e.Word == payment.WordMalformed && e.Field != "" {
		return e.Field + ": " + message
	}
	return message
}

func translate(message string) (string, bool) {
	for _, p := range phrases {
		values, ok := particulars(p.en, message)
		if !ok {
			continue
		}
		var b strings.Builder
		for i, piece := range strings.Split(p.ko, "{}") {
			if i > 0 {
				b.WriteString(values[i-1])
			}
			b.WriteString(piece)
		}
		return b.String(), true
	}
	return "", false
}

// particulars are the parts of a message that stand where the pattern has {}.
func particulars(pattern, message string) ([]string, bool) {
	var values []string
	pieces := strings.Split(pattern, "{}")
	rest, ok := strings.CutPrefix(message, pieces[0])
	if !ok {
		return nil, false
	}
	for i, piece := range pieces[1:] {
		if i == len(pieces)-2 { // the last piece ends the message
			value, ok := strings.CutSuffix(rest, piece)
			return append(values, value), ok
		}
		value, after, ok := strings.Cut(rest, piece)
		if !ok {
			return nil, false
		}
		values, rest = append(values, value), after
	}
	return values, rest == ""
}

// wantsKorean tells whether Accept-Language (RFC 9110, 12.5.4) prefers Korean to English.
func wantsKorean(r *http.Request) bool {
	korean, best, n := false, 0.0, 0
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		if n++; n > maxLanguages {
			break
		}
		tag, weight, weighted := strings.Cut(part, ";")
		q := 1.0
		if weighted {
			var err error
			_, text, _ := strings.Cut(weight, "=")
			if q, err = strconv.ParseFloat(strings.TrimSpace(text), 64); err != nil {
				continue
			}
		}
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		if (primary == "ko" || primary == "en") && q > best {
			korean, best = primary == "ko", q
		}
	}
	return korean
}
