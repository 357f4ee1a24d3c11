package api

import (
	"fmt"
	"strings"

	"github.com/pipe-pg/pipe/internal/payment"
)

// A code is one row of the published table: HTTP status × 10 + n, for a word of package payment.
type code struct {
	word   string
	number int
	cause  text
	cure   text
	korean string // the message in Korean, where the English one needs no particulars
}

// A text is said in English and Korean.
type text struct{ en, ko string }

// status is the HTTP status of a code.
func (c code) status() int { return c.number / 10 }

// codes is the one table word → code → HTTP status. docs/codes.md is printed from it.
var codes = []code{
	{payment.WordMalformed, 4001,
		text{"A parameter is missing or malformed, or the body cannot be read.", "매개변수가 없거나 형식이 맞지 않거나, 본문을 읽을 수 없습니다."},
		text{"`data.field` names the parameter and `message` the rule. Correct it and call again.", "`data.field`의 매개변수를 `message`의 안내에 따라 고친 뒤 다시 호출하세요."},
		"요청 본문이나 매개변수의 형식이 올바르지 않습니다."},
	{payment.WordNoKey, 4010,
		text{"The API key is missing, unknown or expired.", "API 키가 없거나, 등록되지 않았거나, 만료되었습니다."},
		text{"Send the application's key as `api_key` or as `Authorization: Bearer`. Make a new key if it was lost.", "애플리케이션의 API 키를 `api_key` 또는 `Authorization: Bearer`로 보내세요. 잃어버렸다면 새로 발급하세요."},
		"등록되지 않은 API 키입니다. 애플리케이션의 API 키를 api_key 또는 Authorization: Bearer로 보내세요."},
	{payment.WordIP, 4030,
		text{"The caller's IP address is not registered for the application.", "호출한 서버의 IP 주소가 애플리케이션에 등록되어 있지 않습니다."},
		text{"Register the address that `message` names, or its CIDR. With none registered, none may call.", "`message`에 나온 IP 주소나 CIDR을 등록하세요. 등록된 주소가 없으면 아무 서버도 호출할 수 없습니다."},
		"등록되지 않은 IP 주소입니다. 애플리케이션에 IP 주소를 등록한 뒤 다시 호출하세요."},
	{payment.WordURL, 4031,
		text{"A URL is not under a registered web service URL.", "URL이 등록된 웹 서비스 URL에 속하지 않습니다."},
		text{"Scheme, host and port must equal a registered one, and the path must lie under its path. Register it, or correct the URL.", "스킴, 호스트, 포트가 등록된 URL과 같고 경로가 그 아래에 있어야 합니다. 등록하거나 URL을 고치세요."},
		"등록된 웹 서비스 URL에 속하지 않는 URL입니다. 애플리케이션에 URL을 등록한 뒤 다시 호출하세요."},
	{payment.WordScope, 4032,
		text{"The key may not make this call: it may not ask for refunds.", "이 API 키로는 이 호출(환불 요청)을 할 수 없습니다."},
		text{"Use a key with the right for it.", "권한이 있는 API 키를 사용하세요."},
		"이 API 키에는 이 호출을 할 권한이 없습니다."},
	{payment.WordNoInvoice, 4040,
		text{"The application has no such invoice.", "이 애플리케이션에 해당 Invoice가 없습니다."},
		text{"Check `invoice_id`, and that the key belongs to the application that opened the invoice.", "`invoice_id`와, API 키가 Invoice를 만든 애플리케이션의 것인지 확인하세요."},
		"해당 Invoice가 없습니다. invoice_id를 확인하세요."},
	{payment.WordNoRoute, 4041,
		text{"There is no such call.", "없는 API입니다."},
		text{"Check the path: it is exact, without a slash at its end.", "경로를 확인하세요. 끝에 슬래시 없이 정확히 일치해야 합니다."},
		"없는 API입니다. 경로를 확인하세요."},
	{payment.WordMethod, 4050,
		text{"The HTTP method is not POST.", "HTTP 메서드가 POST가 아닙니다."},
		text{"Call with `POST`. The header `Allow` tells what is taken.", "`POST`로 호출하세요. 허용되는 메서드는 `Allow` 헤더에 있습니다."},
		"POST 메서드로 호출하세요."},
	{payment.WordSlow, 4080,
		text{"The body did not arrive in time.", "본문이 제시간에 도착하지 않았습니다."},
		text{"Send it at once, within 10 seconds.", "10초 안에 한 번에 보내세요."},
		"요청 본문이 제시간에 도착하지 않았습니다. 한 번에 보내세요."},
	{payment.WordState, 4090,
		text{"The invoice is not in a state for that.", "Invoice가 해당 요청을 처리할 수 있는 상태가 아닙니다."},
		text{"Read it with `invoice/get`. Where a refund was asked for before, `data` shows it.", "`invoice/get`으로 상태를 확인하세요. 이미 환불이 요청된 경우 `data`에 그 환불이 있습니다."},
		"Invoice가 이 요청을 처리할 수 있는 상태가 아닙니다. invoice/get으로 상태를 확인하세요."},
	{payment.WordReversed, 4090,
		text{"The invoice was paid, and the chain took a deposit back. Its money is frozen.", "결제된 Invoice의 입금이 체인에서 취소되어 금액이 동결되었습니다."},
		text{"Do not ship, nothing can be refunded. Wait for the deposit to return, or talk to the operator.", "상품을 보내지 마세요. 환불도 할 수 없습니다. 입금이 복구되기를 기다리거나 운영자에게 문의하세요."},
		"입금이 체인에서 취소되어 금액이 동결된 Invoice입니다."},
	{payment.WordIdempotency, 4091,
		text{"The `Idempotency-Key` was used with other parameters.", "같은 `Idempotency-Key`가 다른 매개변수로 이미 사용되었습니다."},
		text{"Repeat a call with exactly its parameters, or use a new key. Keys are kept for 72 hours.", "처음과 똑같은 매개변수로 다시 호출하거나 새 키를 사용하세요. 키는 72시간 보관됩니다."},
		"이미 다른 매개변수로 사용된 Idempotency-Key입니다. 다른 호출에는 새 키를 사용하세요."},
	{payment.WordBodyTooBig, 4130,
		text{"The body has more than 64 KiB, a field more than 8 KiB, or there are more than 32 fields.", "본문이 64 KiB를, 필드가 8 KiB를 넘거나 필드가 32개를 넘습니다."},
		text{"Send only the parameters of the call.", "API의 매개변수만 보내세요."},
		"요청이 너무 큽니다. API의 매개변수만 보내세요."},
	{payment.WordEncoding, 4150,
		text{"The body's encoding is none of the three, or not the one announced.", "본문의 인코딩이 지원되는 세 가지가 아니거나 선언과 다릅니다."},
		text{"Send `multipart/form-data` with its boundary, `application/x-www-form-urlencoded` or `application/json`, in UTF-8 and not compressed.", "`multipart/form-data`(boundary 포함), `application/x-www-form-urlencoded`, `application/json` 중 하나로, UTF-8로, 압축하지 않고 보내세요."},
		"지원하지 않는 인코딩입니다. multipart/form-data, application/x-www-form-urlencoded, application/json 중 하나로 UTF-8 본문을 보내세요."},
	{payment.WordNotOK, 4220,
		text{"`test/callback` was sent, or tried, and the shop's answer was not `ok`.", "`test/callback`을 보냈지만 상점의 응답이 `ok`가 아니거나 받지 못했습니다."},
		text{"`message` says why. `data` holds what was sent and what came back.", "`message`에 이유가 있습니다. `data`에서 보낸 내용과 받은 응답을 확인하세요."},
		"상점의 응답이 ok가 아닙니다."},
	{payment.WordTooMany, 4290,
		text{"Too many requests.", "요청이 너무 많습니다."},
		text{"Wait for as long as the header `Retry-After` says.", "`Retry-After` 헤더에 적힌 시간만큼 기다리세요."},
		"요청이 너무 많습니다. 잠시 후 다시 호출하세요."},
	{payment.WordInternal, 5000,
		text{"Something went wrong inside PIPE.", "PIPE 내부에서 오류가 발생했습니다."},
		text{"Call again, with the same `Idempotency-Key`. If it stays, name `data.request_id` to the operator.", "같은 `Idempotency-Key`로 다시 호출하세요. 계속되면 `data.request_id`를 운영자에게 알려 주세요."},
		"내부 오류가 발생했습니다. 다시 호출하고, 계속되면 request_id를 알려 주세요."},
	{payment.WordNoRate, 5030,
		text{"There is no trustworthy exchange rate just now.", "지금은 신뢰할 수 있는 환율이 없습니다."},
		text{"Call again in a minute.", "1분 뒤에 다시 호출하세요."},
		"지금은 신뢰할 수 있는 환율이 없습니다. 잠시 후 다시 호출하세요."},
	{payment.WordNoNode, 5031,
		text{"There is no trustworthy node of the coin's network just now.", "지금은 해당 코인 네트워크의 신뢰할 수 있는 노드가 없습니다."},
		text{"Call again in a minute.", "1분 뒤에 다시 호출하세요."},
		"지금은 코인 네트워크에 연결할 수 없습니다. 잠시 후 다시 호출하세요."},
	{payment.WordNoAddress, 5032,
		text{"No deposit address is ready just now.", "지금은 준비된 입금 주소가 없습니다."},
		text{"Call again in a minute.", "1분 뒤에 다시 호출하세요."},
		"지금은 준비된 입금 주소가 없습니다. 잠시 후 다시 호출하세요."},
	{payment.WordBusy, 5033,
		text{"Too much is being changed at once.", "동시에 처리 중인 변경이 너무 많습니다."},
		text{"Call again, with the same `Idempotency-Key`.", "같은 `Idempotency-Key`로 다시 호출하세요."},
		"동시에 처리 중인 요청이 너무 많습니다. 다시 호출하세요."},
	{payment.WordDisk, 5034,
		text{"The gateway is short of disk space and takes no new invoices. What is open goes on.", "게이트웨이의 디스크 공간이 부족하여 새 Invoice를 받지 않습니다. 진행 중인 결제는 계속 처리합니다."},
		text{"The operator makes room, or moves `PIPE_DISK_FLOOR`. Call again later.", "운영자가 공간을 확보하거나 `PIPE_DISK_FLOOR`를 조정해야 합니다. 나중에 다시 호출하세요."},
		"게이트웨이의 디스크 공간이 부족하여 새 Invoice를 받지 않습니다. 나중에 다시 호출하세요."},
}

// codeOf is the row for a refusal. A word without a row would be a bug that a test finds; until then its kind decides.
func codeOf(e *payment.Error) code {
	word := e.Word
	for range 2 {
		for _, c := range codes {
			if c.word == word {
				return c
			}
		}
		word = wordOf(e.Kind)
	}
	return code{word: payment.WordInternal, number: 5000}
}

// wordOf is the plain word of a kind.
func wordOf(k payment.Kind) string {
	switch k {
	case payment.Invalid:
		return payment.WordMalformed
	case payment.Unauthorized:
		return payment.WordNoKey
	case payment.Forbidden:
		return payment.WordScope
	case payment.NotFound:
		return payment.WordNoRoute
	case payment.Conflict:
		return payment.WordState
	case payment.Limit:
		return payment.WordTooMany
	case payment.Unavailable:
		return payment.WordBusy
	case payment.Internal:
		return payment.WordInternal
	}
	return payment.WordInternal
}

// codesPage is docs/codes.md.
func codesPage() string {
	var b strings.Builder
	b.WriteString("# Codes\n\nEvery answer of `/api/v1` is `{\"code\": number, \"message\": string, \"data\": object or null}`. `1` is success. " +
		"A failure's code is its HTTP status × 10 + n. Programs decide by `code`; `message` is for people, in English, or in Korean where " +
		"`Accept-Language` prefers it, and may change. Failures carry `data.request_id` and, where a parameter is at fault, `data.field`.\n\n" +
		"모든 응답은 `{\"code\": 숫자, \"message\": 문자열, \"data\": 객체 또는 null}`입니다. `1`은 성공이고, 실패 코드는 HTTP 상태 × 10 + n입니다. " +
		"프로그램은 `code`로 판단하세요. `message`는 사람을 위한 설명이며 바뀔 수 있습니다.\n\n" +
		"|code|HTTP|word|cause|cure|\n|---|---|---|---|---|\n|1|200|–|Success. 성공.|–|\n")
	for _, c := range codes {
		fmt.Fprintf(&b, "|%d|%d|%s|%s<br>%s|%s<br>%s|\n", c.number, c.status(), c.word, c.cause.en, c.cause.ko, c.cure.en, c.cure.ko)
	}
	b.WriteString("\nA callback that tells of a reversal carries code `4092` and keeps `status` 2: the chain took a paid deposit back.\n\n" +
		"입금이 취소되었음을 알리는 콜백의 코드는 `4092`이며 `status`는 2로 유지됩니다.\n\n" +
		"This page is printed from `internal/api/code.go` by `go test ./internal/api -update`.\n")
	return b.String()
}
