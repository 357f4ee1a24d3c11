package payment

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/states.md anew")

// A stateText is a state as docs/states.md tells it.
type stateText struct{ name, en, ko string }

// chart prints an edge table as a mermaid chart and a table, and refuses a table and texts that do not fit.
func chart[S ~int | ~string](t *testing.T, title, about string, start S, edges Edges[S], texts map[S]stateText) string {
	t.Helper()
	if len(edges) != len(texts) {
		t.Errorf("%s: %d states in the table, %d texts", title, len(edges), len(texts))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n%s\n\n```mermaid\nstateDiagram-v2\n", title, about)
	states := slices.Sorted(maps.Keys(texts))
	fmt.Fprintf(&b, "    [*] --> %s\n", texts[start].name)
	for _, from := range states {
		next, ok := edges[from]
		if !ok {
			t.Errorf("%s: %v is not in the table", title, from)
		}
		for _, to := range next {
			if texts[to].name == "" {
				t.Errorf("%s: no text for %v", title, to)
			}
			fmt.Fprintf(&b, "    %s --> %s\n", texts[from].name, texts[to].name)
		}
		if len(next) == 0 {
			fmt.Fprintf(&b, "    %s --> [*]\n", texts[from].name)
		}
	}
	b.WriteString("```\n\n|value|name|meaning|may become|\n|---|---|---|---|\n")
	for _, from := range states {
		var next []string
		for _, to := range edges[from] {
			next = append(next, texts[to].name)
		}
		if len(next) == 0 {
			next = []string{"–"}
		}
		s := texts[from]
		fmt.Fprintf(&b, "|`%v`|%s|%s<br>%s|%s|\n", from, s.name, s.en, s.ko, strings.Join(next, ", "))
	}
	return b.String()
}

func statesPage(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("# States\n\nNobody sets a status: it is computed from what is on the chain, and only along these edges. " +
		"The tables are the program's own.\n\n상태는 체인에 기록된 사실로 계산되며, 아래 화살표를 따라서만 바뀝니다.\n")
	b.WriteString(chart(t, "Invoice: `status`", "Paid is told once and never unsaid. A reversal is a note beside status 2: callback code `4092`.\n\n"+
		"결제 완료는 한 번 알리면 취소되지 않습니다. 입금이 체인에서 취소되면 `status`는 2로 남고 콜백 코드 `4092`로 알립니다.",
		Waiting, InvoiceEdges, map[Status]stateText{
			Waiting:  {"waiting", "Waiting for payment.", "결제 대기"},
			Paid:     {"paid", "Enough came in time and is deep enough on the chain.", "결제 완료"},
			Expired:  {"expired", "Not enough came in time. It becomes paid only when a deposit proves to have been in time, or where the application accepts late payments.", "결제 만료"},
			Refunded: {"refunded", "Paid back.", "결제 환불"},
		}))
	b.WriteString("\n## Invoice: `deposit_status`\n\n|value|meaning|\n|---|---|\n" +
		fmt.Sprintf("|`%d`|Nothing came.<br>입금 대기|\n", NoDeposit) +
		fmt.Sprintf("|`%d`|In transit: something was seen, and the amount due is not there yet or not deep enough.<br>전송중|\n", InTransit) +
		fmt.Sprintf("|`%d`|The amount due is there and deep enough.<br>입금 완료|\n", Deposited) +
		"\nIt goes 0 → 2 → 1, and back if the chain takes the deposit back. Ship by `status`, not by this.\n\n" +
		"0 → 2 → 1 순서이며, 체인이 입금을 되돌리면 거꾸로 돌아갑니다. 상품 발송은 `status`로 판단하세요.\n")
	b.WriteString(chart(t, "Deposit", "One credit on the chain to an address of an invoice. It moves with the chain, back and forth.\n\n입금 한 건은 체인을 따라 움직입니다.",
		Seen, DepositEdges, map[DepositState]stateText{
			Seen:      {"seen", "Seen on the network, in no block.", "네트워크에서 발견됨"},
			Mined:     {"mined", "In a block, not yet deep enough.", "블록에 포함됨"},
			Confirmed: {"confirmed", "In a block, deep enough.", "확정됨"},
			Dropped:   {"dropped", "Gone from the network before it was confirmed.", "확정 전에 사라짐"},
			Reversed:  {"reversed", "It was confirmed and the chain took it back.", "확정 후 체인에서 취소됨"},
		}))
	b.WriteString(chart(t, "Callback", "One message owed to one shop URL.\n\n상점 URL로 보낼 콜백 한 건입니다.",
		CallbackOpen, CallbackEdges, map[CallbackState]stateText{
			CallbackOpen:      {"open", "To be sent, or sent again.", "전송 대기 또는 재전송 대기"},
			CallbackDelivered: {"delivered", "The shop answered ok with 2xx.", "정상 수신"},
			CallbackParked:    {"parked", "All tries are used up; it can be sent again by hand.", "재시도 종료, 수동 재전송 가능"},
		}))
	b.WriteString(chart(t, "Address", "A deposit address. It is given once, to one invoice, and watched for ever.\n\n입금 주소는 Invoice 하나에만 배정됩니다.",
		AddressFree, AddressEdges, map[AddressState]stateText{
			AddressFree:  {"free", "Ready.", "준비됨"},
			AddressGiven: {"given", "Given to an invoice, for ever.", "Invoice에 배정됨"},
			AddressDead:  {"dead", "Never to be given.", "사용하지 않음"},
		}))
	b.WriteString("\nThis page is printed from `internal/payment/state.go` by `go test ./internal/payment -update`.\n")
	return b.String()
}

func TestStatesPage(t *testing.T) {
	const file = "../../docs/states.md"
	is := statesPage(t)
	if *update {
		if err := os.WriteFile(file, []byte(is), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	was, err := os.ReadFile(file)
	if err != nil || string(was) != is {
		t.Fatalf("docs/states.md is not current (%v): run go test ./internal/payment -update", err)
	}
}
