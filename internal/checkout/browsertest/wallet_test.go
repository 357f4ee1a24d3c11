package browsertest

import (
	"context"
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/pipe-pg/pipe/internal/checkout/gallery"
	"github.com/pipe-pg/pipe/internal/webtest"
)

// inject puts wallets into every page of the tab that announce themselves as EIP-6963 says. chain is what they are on;
// refuse is the code with which they refuse a method, by its name.
func inject(t *testing.T, ctx context.Context, n int, chain, refuse string) {
	t.Helper()
	source := fmt.Sprintf(`window.calls=[];for(let i=0;i<%d;i++){let chain=%q;const refuse=%s;
		const provider={request:async({method,params})=>{calls.push(i+' '+method+' '+JSON.stringify(params));
			if(refuse[method])throw Object.assign(new Error('no'),{code:refuse[method]});
			if(method==='eth_requestAccounts')return ['0x00000000000000000000000000000000000000aa'];
			if(method==='eth_chainId')return chain;
			if(method==='wallet_switchEthereumChain'){chain=params[0].chainId;return null}
			if(method==='eth_sendTransaction')return '0x'+'1'.repeat(64)}};
		const icon='data:image/svg+xml,'+encodeURIComponent('<svg xmlns="http://www.w3.org/2000/svg" onload="window.ran=1"><script>window.ran=1<\/script></svg>');
		const detail=Object.freeze({info:{uuid:'0000000'+i,name:'<b>Wallet '+i,icon:i===2?'https://evil.example/x.png':icon,rdns:'w'+i},provider});
		const announce=()=>dispatchEvent(new CustomEvent('eip6963:announceProvider',{detail}));
		addEventListener('eip6963:requestProvider',announce)}`, n, chain, refuse)
	if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: source}); err != nil {
		t.Fatal(err)
	}
}

// TestC28Wallets: none, one or three wallets in the browser; what is sent is the server's own address and value; each
// failure is a sentence, and the wallet can be tried again.
func TestC28Wallets(t *testing.T) {
	s := serve(t, nil)
	for _, c := range []struct {
		name          string
		wallets       int
		chain, refuse string
		note          string
		again         bool // a button is left
	}{
		{"none", 0, "0x1", "{}", "", false},
		{"sent", 1, "0x1", "{}", "The wallet sent it. Do not send again. This page follows it.", false},
		{"three", 3, "0x1", "{}", "The wallet sent it. Do not send again. This page follows it.", false},
		{"switched", 1, "0x89", "{}", "The wallet sent it. Do not send again. This page follows it.", false},
		{"declined", 1, "0x1", "{eth_sendTransaction:4001}", "Declined in the wallet. You can try again.", true},
		{"no account", 1, "0x1", "{eth_requestAccounts:4001}", "Declined in the wallet. You can try again.", true},
		{"open request", 1, "0x1", "{eth_requestAccounts:-32002}", "An earlier request is still open in the wallet. Answer it there.", true},
		{"wrong chain", 1, "0x89", "{wallet_switchEthereumChain:4902}", "Switch the wallet's network, then try again: Ethereum", true},
		{"poor", 1, "0x1", "{eth_sendTransaction:-32003}", "Not enough for amount and fee. Use another wallet, or top this one up.", true},
		{"broken", 1, "0x1", "{eth_sendTransaction:-32603}", "The wallet could not send it. Copy the amount and the address instead.", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := tab(t)
			inject(t, ctx, c.wallets, c.chain, c.refuse)
			run(t, ctx, chromedp.EmulateViewport(1280, 800), chromedp.Navigate(s.page("await-eth")), chromedp.WaitVisible(chromedp.CSS(".qr")))
			wait(t, ctx, fmt.Sprintf("document.querySelectorAll('#wallets button').length===%d&&document.getElementById('wallets').hidden===%t", c.wallets, c.wallets == 0))
			if c.wallets == 0 {
				return
			}
			webtest.Looks(t, ctx, c.name)
			if got := get[string](t, ctx, "document.querySelector('#wallets button').textContent+!!document.querySelector('#wallets b')+!!window.ran"); got != "<b>Wallet 0falsefalse" {
				t.Errorf("a wallet's name or icon is believed: %s", got)
			}
			if got := get[int](t, ctx, "document.querySelectorAll('#wallets img').length"); got != min(c.wallets, 2) {
				t.Errorf("%d icons", got)
			}
			run(t, ctx, chromedp.Click(chromedp.CSS("#wallets button")))
			wait(t, ctx, fmt.Sprintf("document.getElementById('wallet-note').textContent===%q&&document.getElementById('say').textContent===%q", c.note, c.note))
			want := `0 eth_sendTransaction [{"from":"0x00000000000000000000000000000000000000aa","to":"` + gallery.ETHAddress + `","value":"0x834f11d7a4400"}]`
			sent := get[[]string](t, ctx, "calls.filter(c=>c.includes('eth_sendTransaction'))")
			if !c.again && (len(sent) != 1 || sent[0] != want) {
				t.Errorf("asked for %q, want %s", sent, want)
			}
			if got := get[bool](t, ctx, "!!document.querySelector('#wallets button:enabled')"); got != c.again {
				t.Errorf("can be tried again: %t", got)
			}
		})
	}
}
