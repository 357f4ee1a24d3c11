package webhook

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// a zone is a name server on loopback that answers from a table. It counts look-ups, so that an answer may change.
type zone struct {
	mu    sync.Mutex
	names map[string]func(n int) []record
	asked map[string]int
}

type record struct {
	cname string
	addr  netip.Addr // sent in the A form when IPv4, else as AAAA
}

// resolver starts the name server and makes Go's own resolver that asks it.
func (z *zone) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := z.answer(buf[:n]); answer != nil {
				conn.WriteTo(answer, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp4", conn.LocalAddr().String())
	}}
}

// answer makes the reply to a query with one question (RFC 1035, section 4).
func (z *zone) answer(query []byte) []byte {
	if len(query) < 12 {
		return nil
	}
	var labels []string
	at := 12
	for at < len(query) && query[at] != 0 {
		size := int(query[at])
		if at+1+size >= len(query) {
			return nil
		}
		labels = append(labels, string(query[at+1:at+1+size]))
		at += 1 + size
	}
	if at+5 > len(query) {
		return nil
	}
	kind := binary.BigEndian.Uint16(query[at+1:])
	name := strings.ToLower(strings.Join(labels, "."))
	out := append([]byte{}, query[:at+5]...)
	out[2], out[3] = 0x81, 0x80
	for i := 6; i < 12; i++ {
		out[i] = 0
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	answers := 0
	for {
		make, known := z.names[name]
		if !known {
			break
		}
		key := fmt.Sprint(name, kind)
		records := make(z.asked[key])
		z.asked[key]++
		next := ""
		for _, r := range records {
			var body []byte
			var sends uint16
			switch {
			case r.cname != "":
				body, sends, next = packed(r.cname), 5, r.cname
			case r.addr.Is4() && kind == 1:
				body, sends = r.addr.AsSlice(), 1
			case r.addr.Is6() && kind == 28:
				body, sends = r.addr.AsSlice(), 28
			default:
				continue
			}
			out = append(out, packed(name)...)
			out = binary.BigEndian.AppendUint16(out, sends)
			out = append(out, 0, 1, 0, 0, 0, 0)
			out = binary.BigEndian.AppendUint16(out, uint16(len(body)))
			out = append(out, body...)
			answers++
		}
		if next == "" {
			break
		}
		name = next
	}
	if answers == 0 && z.names[name] == nil {
		out[3] |= 3 // no such name
	}
	binary.BigEndian.PutUint16(out[6:], uint16(answers))
	return out
}

func packed(name string) []byte {
	var out []byte
	for _, label := range strings.Split(name, ".") {
		out = append(append(out, byte(len(label))), label...)
	}
	return append(out, 0)
}

func always(all ...record) func(int) []record { return func(int) []record { return all } }

// By Go's own resolver and a real name server: A, AAAA, CNAME, mixed and changing answers. A listener on loopback sees
// nothing, and sees a message once its origin is opened.
func TestGuardByName(t *testing.T) {
	var seen atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") }),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				seen.Add(1)
			}
		},
	}
	go srv.Serve(l)
	defer srv.Close()
	to := netip.MustParseAddrPort(l.Addr().String())
	loop, mapped := record{addr: to.Addr()}, record{addr: netip.AddrFrom16(to.Addr().As16())}
	nowhere := record{addr: netip.MustParseAddr("0.0.0.0")}
	z := &zone{asked: map[string]int{}, names: map[string]func(int) []record{
		"a.test":      always(loop),
		"zero.test":   always(nowhere, record{addr: netip.MustParseAddr("::")}),
		"mapped.test": always(mapped),
		"six.test":    always(record{addr: netip.IPv6Loopback()}),
		"cname.test":  always(record{cname: "a.test"}),
		"chain.test":  always(record{cname: "cname.test"}),
		"mixed.test":  always(record{addr: netip.MustParseAddr("::1")}, loop, record{addr: netip.MustParseAddr("10.255.255.1")}),
		"open.test":   always(record{cname: "a.test"}),
		"flip.test": func(n int) []record {
			if n%2 == 0 {
				return []record{nowhere}
			}
			return []record{loop}
		},
	}}
	opened := fmt.Sprintf("http://open.test:%d", to.Port())
	s := sender(t, Options{AllowHTTP: true, Ports: []uint16{to.Port()}, Resolver: z.resolver(t), Open: []Opening{{opened, loopbacks}}})
	for name := range z.names {
		if name == "open.test" {
			continue
		}
		for range 3 {
			a := s.Send(t.Context(), message(fmt.Sprintf("http://%s:%d/", name, to.Port())))
			if a.Verdict != string(NotPublic) || a.Delivered {
				t.Errorf("%s: got %s (%q)", name, a.Verdict, a.Detail)
			}
		}
	}
	if n := seen.Load(); n != 0 {
		t.Errorf("the listener saw %d connections", n)
	}
	if a := s.Send(t.Context(), message(opened)); !a.Delivered || seen.Load() != 1 {
		t.Errorf("opened: %+v", a)
	}
	if a := s.Send(t.Context(), message(fmt.Sprintf("http://nobody.test:%d/", to.Port()))); a.Verdict != string(DNS) {
		t.Errorf("no such name: %+v", a)
	}
}
