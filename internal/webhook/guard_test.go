package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// answers is a resolver with fixed answers.
type answers map[string][]netip.Addr

func (a answers) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if found := a[strings.ToLower(strings.TrimSuffix(host, "."))]; len(found) > 0 {
		return found, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, Server: "10.0.0.2:53", IsNotFound: true}
}

// changing is a resolver whose answer changes with each look-up.
type changing struct {
	mu   sync.Mutex
	list []netip.Addr
	n    int
}

func (c *changing) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	addr := c.list[c.n%len(c.list)]
	c.n++
	return []netip.Addr{addr}, nil
}

var errNoNetwork = errors.New("the test goes no further")

// caged makes a sender that judges as always but never connects: what the guard lets through is noted and stopped.
func caged(t *testing.T, o Options) (s *Sender, passed func() []netip.AddrPort) {
	t.Helper()
	s = sender(t, o)
	var mu sync.Mutex
	var list []netip.AddrPort
	real := s.guard.dialer.ControlContext
	s.guard.dialer.ControlContext = func(ctx context.Context, network, address string, c syscall.RawConn) error {
		if err := real(ctx, network, address, c); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		list = append(list, netip.MustParseAddrPort(address))
		return errNoNetwork
	}
	return s, func() []netip.AddrPort {
		mu.Lock()
		defer mu.Unlock()
		out := list
		list = nil
		return out
	}
}

// forbidden are the first, last and some further addresses of every row.
func forbidden(t *testing.T) []netip.Addr {
	var all []netip.Addr
	for _, rows := range [][]row{refusedIPv4, namedIPv6, refusedIPv6} {
		for _, r := range rows {
			first, last, _, _ := bounds(t, r.prefix)
			all = append(all, first, last)
			if mid := first.Next(); r.prefix.Contains(mid) {
				all = append(all, mid)
			}
		}
	}
	for _, text := range []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "172.31.255.1", "fd00:ec2::254",
		"64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2606:4700::5efe:7f00:1", "::7f00:1", "::ffff:0:7f00:1", "2001:0:1::1", "4000::1", "1::1"} {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

// spellings are ways to write an IPv4 address that some reader understands.
func spellings(a netip.Addr) []string {
	if !a.Is4() {
		out := []string{"[" + a.String() + "]", "[" + a.StringExpanded() + "]", "[" + strings.ToUpper(a.String()) + "]",
			"[" + a.String() + "%25lo]", "[" + a.String() + "%lo]"}
		return out
	}
	b := a.As4()
	n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	return []string{
		a.String(), a.String() + ".",
		fmt.Sprint(n), fmt.Sprintf("0x%x", n), fmt.Sprintf("0X%X", n), fmt.Sprintf("0%o", n),
		fmt.Sprintf("0x%x.0x%x.0x%x.0x%x", b[0], b[1], b[2], b[3]),
		fmt.Sprintf("0%o.0%o.0%o.0%o", b[0], b[1], b[2], b[3]),
		fmt.Sprintf("00%d.%d.%d.%d", b[0], b[1], b[2], b[3]),
		fmt.Sprintf("%d.%d", b[0], n&0xffffff), fmt.Sprintf("%d.%d.%d", b[0], b[1], n&0xffff),
		fmt.Sprintf("%d.0x%x.0%o.%d", b[0], b[1], b[2], b[3]),
		fmt.Sprintf("[::ffff:%s]", a), fmt.Sprintf("[::ffff:%x:%x]", n>>16, n&0xffff), fmt.Sprintf("[::%s]", a),
		fmt.Sprintf("[64:ff9b::%s]", a), fmt.Sprintf("[::ffff:0:%s]", a), fmt.Sprintf("[2002:%x:%x::]", n>>16, n&0xffff),
		fmt.Sprintf("[::ffff:%s%%25lo]", a),
		strings.NewReplacer("0", "０", "1", "１", "2", "２").Replace(a.String()),
		strings.ReplaceAll(a.String(), ".", "。"), strings.ReplaceAll(a.String(), ".", "%2e"),
		strings.ReplaceAll(a.String(), ".", "%E3%80%82"),
	}
}

// Every forbidden address in every spelling and by every way: none may get through to a connection.
func TestGuardForbidden(t *testing.T) {
	for _, proxy := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		t.Setenv(proxy, "http://8.8.8.8:3128")
	}
	table := answers{}
	s, passed := caged(t, Options{AllowHTTP: true, Resolver: table, HostAddrs: noAddrs})
	cases := 0
	try := func(url string) {
		t.Helper()
		cases++
		a := s.Send(t.Context(), message(url))
		if got := passed(); len(got) > 0 || a.Delivered {
			t.Errorf("%s went through to %v", url, got)
		}
	}
	for i, addr := range forbidden(t) {
		for _, host := range spellings(addr) {
			for _, form := range []string{"http://%s/", "https://%s/", "https://%s:8443/x", "https://shop.test@%s/", "http://%s:80/#@shop.test",
				"http:\\\\%s/", "http://%s\t/", "//%s/", "http:%s"} {
				try(fmt.Sprintf(form, host))
			}
		}
		// By name: alone, twice, and in the mapped form that resolvers answer.
		name := "name" + strconv.Itoa(i) + ".test"
		table[name] = []netip.Addr{addr}
		table["twice-"+name] = []netip.Addr{addr, addr.Next()}
		if !refused(addr.Next()) {
			table["twice-"+name] = []netip.Addr{addr, addr}
		}
		if addr.Is4() {
			table["mapped-"+name] = []netip.Addr{netip.AddrFrom16(addr.As16())}
			try("https://mapped-" + name)
		}
		table["zoned-"+name] = []netip.Addr{netip.AddrFrom16(addr.As16()).WithZone("lo")}
		for _, host := range []string{name, "twice-" + name, "zoned-" + name, strings.ToUpper(name), name + "."} {
			try("https://" + host)
			try("http://" + host + ":80/a?b=c")
		}
	}
	if cases < 2000 {
		t.Errorf("only %d cases", cases)
	}
	t.Logf("%d cases, 0 forbidden connects", cases)
}

// refused tells whether an address is refused.
func refused(a netip.Addr) bool { return a.IsValid() && Judge(a) != nil }

func noAddrs() ([]net.Addr, error) { return nil, nil }

// The cage itself must let public addresses through, else TestGuardForbidden proves nothing.
func TestGuardPublic(t *testing.T) {
	table := answers{
		"shop.test":  {netip.MustParseAddr("8.8.8.8")},
		"six.test":   {netip.MustParseAddr("2606:4700::1111")},
		"mixed.test": {netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("8.8.4.4"), netip.MustParseAddr("::1")},
		"many.test": {netip.MustParseAddr("1.1.1.1"), netip.MustParseAddr("1.1.1.2"), netip.MustParseAddr("1.1.1.3"),
			netip.MustParseAddr("1.1.1.4"), netip.MustParseAddr("1.1.1.5")},
	}
	s, passed := caged(t, Options{Resolver: table, HostAddrs: noAddrs})
	for url, want := range map[string]string{
		"https://shop.test":             "[8.8.8.8:443]",
		"https://SHOP.test:8443/cb":     "",
		"https://shop.test:8443/cb":     "[8.8.8.8:8443]",
		"https://six.test/":             "[[2606:4700::1111]:443]",
		"https://mixed.test/":           "[8.8.4.4:443]",
		"https://9.9.9.9/":              "[9.9.9.9:443]",
		"https://[2606:4700::1111]/":    "[[2606:4700::1111]:443]",
		"https://many.test/":            "[1.1.1.1:443 1.1.1.2:443 1.1.1.3:443 1.1.1.4:443]",
		"http://shop.test/":             "[]",
		"https://shop.test:80/":         "[]",
		"https://shop.test:22/":         "[]",
		"https://shop.test:0/":          "[]",
		"https://shop.test:/":           "[]",
		"https://shop.test:65536/":      "[]",
		"ftp://shop.test/":              "[]",
		"file:///etc/passwd":            "[]",
		"gopher://shop.test:443/":       "[]",
		"https://user@shop.test/":       "[]",
		"https://user:pw@shop.test/":    "[]",
		"https://shop.test/#x":          "[]",
		"https://shop.test\\@10.0.0.1/": "[]",
		"":                              "[]",
		"https://":                      "[]",
		"https://.":                     "[]",
		"https://shop.test/" + strings.Repeat("a", MaxURL): "[]",
	} {
		a := s.Send(t.Context(), message(url))
		got := fmt.Sprint(passed())
		if want != "" && got != want {
			t.Errorf("%.60s: got %s (%s, %q), want %s", url, got, a.Verdict, a.Detail, want)
		}
	}
	if a := s.Send(t.Context(), message("https://mixed.test/")); a.Verdict != string(RefusedConnection) {
		t.Errorf("mixed answers: got %s", a.Verdict)
	}
}

// An answer that changes between look-ups changes nothing: there is one look-up, and what it said is judged.
func TestGuardRebinding(t *testing.T) {
	for _, first := range []string{"8.8.8.8", "127.0.0.1"} {
		c := &changing{list: []netip.Addr{netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("127.0.0.1")}}
		if first == "127.0.0.1" {
			c.n = 1
		}
		s, passed := caged(t, Options{Resolver: c, HostAddrs: noAddrs})
		for range 200 {
			before := c.n
			s.Send(t.Context(), message("https://shop.test/"))
			if c.n != before+1 {
				t.Fatalf("%d look-ups for one try", c.n-before)
			}
			for _, to := range passed() {
				if to.Addr() != netip.MustParseAddr("8.8.8.8") {
					t.Fatalf("went through to %s", to)
				}
			}
		}
	}
}

// Listeners on forbidden addresses of this very host see nothing, whatever the way; the same listener sees a message once
// its origin is opened.
func TestGuardListenersSeeNothing(t *testing.T) {
	var seen atomic.Int64
	var listeners []netip.AddrPort
	addrs := []string{"127.0.0.1", "127.8.9.10", "::1"}
	if own, err := net.InterfaceAddrs(); err == nil {
		for _, a := range own {
			if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
				addrs = append(addrs, p.Addr().String())
			}
		}
	}
	for _, a := range addrs {
		l, err := net.Listen("tcp", net.JoinHostPort(a, "0"))
		if err != nil {
			t.Logf("no listener on %s: %v", a, err)
			continue
		}
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") }),
			ConnState: func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					seen.Add(1)
				}
			}}
		go srv.Serve(l)
		t.Cleanup(func() { srv.Close() })
		listeners = append(listeners, netip.MustParseAddrPort(l.Addr().String()))
	}
	if len(listeners) < 2 {
		t.Fatal("no listeners to prove anything with")
	}
	var ports []uint16
	table := answers{}
	for i, l := range listeners {
		ports = append(ports, l.Port())
		table[fmt.Sprintf("l%d.test", i)] = []netip.Addr{l.Addr()}
	}
	redirect, _ := shop(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusTemporaryRedirect)
	})
	s := sender(t, Options{AllowHTTP: true, Ports: ports, Resolver: table, Open: []Opening{{redirect, loopbacks}}})
	for i, l := range listeners {
		port := strconv.Itoa(int(l.Port()))
		var urls []string
		for _, host := range append(spellings(l.Addr()), fmt.Sprintf("l%d.test", i)) {
			urls = append(urls, "http://"+host+":"+port+"/", "https://"+host+":"+port+"/", "http://x@"+host+":"+port+"/")
		}
		urls = append(urls, redirect+"/?to=http://"+l.String()+"/")
		t.Setenv("HTTP_PROXY", "http://"+l.String())
		t.Setenv("http_proxy", "http://"+l.String())
		for _, url := range urls {
			if a := s.Send(t.Context(), message(url)); a.Delivered {
				t.Errorf("delivered to %s", url)
			}
		}
	}
	if n := seen.Load(); n != 0 {
		t.Errorf("the listeners saw %d connections", n)
	}
	// The proof that they would have seen one.
	origin := "http://l0.test:" + strconv.Itoa(int(listeners[0].Port()))
	opened := sender(t, Options{Resolver: table, Open: []Opening{{origin, loopbacks}}})
	if a := opened.Send(t.Context(), message(origin)); !a.Delivered || seen.Load() != 1 {
		t.Errorf("opened: %+v, %d connections", a, seen.Load())
	}
}

func TestGuardOpening(t *testing.T) {
	ten := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("::/0")}
	table := answers{
		"shop.test": {netip.MustParseAddr("10.1.2.3")}, "meta.test": {netip.MustParseAddr("169.254.169.254")},
		"other.test": {netip.MustParseAddr("10.1.2.3")}, "wide.test": {netip.MustParseAddr("10.2.0.1")},
		"local.test": {netip.MustParseAddr("fe80::1")}, "denied.test": {netip.MustParseAddr("10.1.9.9")},
		"public.test": {netip.MustParseAddr("8.8.8.8")}, "barred.test": {netip.MustParseAddr("8.8.4.4")},
	}
	var open []Opening
	for _, o := range []string{"http://shop.test:8081", "https://meta.test", "https://wide.test", "https://local.test", "https://denied.test", "https://public.test"} {
		open = append(open, Opening{o, ten})
	}
	s, passed := caged(t, Options{Resolver: table, Open: open, HostAddrs: noAddrs,
		Deny: []netip.Prefix{netip.MustParsePrefix("10.1.9.0/24"), netip.MustParsePrefix("8.8.4.0/24")}})
	for url, want := range map[string]string{
		"http://shop.test:8081/cb": "[10.1.2.3:8081]",
		"http://SHOP.TEST:8081/cb": "[10.1.2.3:8081]",
		"https://shop.test:8081/":  "[]",
		"http://shop.test:8082/":   "[]",
		"http://shop.test/":        "[]",
		"https://shop.test/":       "[]",
		"https://meta.test/":       "[]",
		"https://other.test/":      "[]",
		"https://wide.test/":       "[]",
		"https://local.test/":      "[]",
		"https://denied.test/":     "[]",
		"https://public.test/":     "[8.8.8.8:443]",
		"https://barred.test/":     "[]",
	} {
		a := s.Send(t.Context(), message(url))
		if got := fmt.Sprint(passed()); got != want {
			t.Errorf("%s: got %s (%s, %q), want %s", url, got, a.Verdict, a.Detail, want)
		}
	}
	for _, bad := range []Opening{{"https://shop.test/path", ten}, {"shop.test", ten}, {"https://shop.test", nil}, {"https://u@shop.test", ten}, {"", ten}} {
		if _, err := New(Options{Open: []Opening{bad}}); err == nil {
			t.Errorf("took opening %+v", bad)
		}
	}
	if _, err := New(Options{NAT64: []netip.Prefix{netip.MustParsePrefix("64:ff9b::/97")}}); err == nil {
		t.Error("took a NAT64 prefix of 97 bits")
	}
}

func TestGuardHostAddresses(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	own := []net.Addr{&net.IPNet{IP: net.ParseIP("8.8.8.8"), Mask: net.CIDRMask(24, 32)}}
	var broken error
	o := Options{
		Resolver:  answers{"shop.test": {netip.MustParseAddr("8.8.8.8")}, "next.test": {netip.MustParseAddr("8.8.8.9")}, "nat.test": {netip.MustParseAddr("64:ff9b::808:808")}},
		NAT64:     []netip.Prefix{netip.MustParsePrefix("64:ff9b::/96")},
		HostAddrs: func() ([]net.Addr, error) { return own, broken },
		Now:       func() time.Time { return now },
	}
	s, passed := caged(t, o)
	through := func(host string) bool {
		s.Send(t.Context(), message("https://"+host))
		return len(passed()) > 0
	}
	if through("shop.test") || !through("next.test") || through("nat.test") {
		t.Error("the host's own address got through, or its neighbour did not")
	}
	own = []net.Addr{&net.IPNet{IP: net.ParseIP("8.8.8.9"), Mask: net.CIDRMask(24, 32)}}
	now = now.Add(HostRefresh + time.Second)
	if !through("shop.test") || through("next.test") || !through("nat.test") {
		t.Error("the list was not read again")
	}
	broken, now = errors.New("no interfaces"), now.Add(HostRefresh+time.Second)
	if through("shop.test") {
		t.Error("went on without knowing the host's addresses")
	}
}

// The connection's own remote address is checked too: here the control is taken out.
func TestGuardChecksConnected(t *testing.T) {
	var seen atomic.Int64
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen.Add(1) })}
	go srv.Serve(l)
	defer srv.Close()
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	s := sender(t, Options{AllowHTTP: true, Ports: []uint16{port}, Resolver: answers{"shop.test": {netip.MustParseAddr("127.0.0.1")}}})
	s.guard.dialer.ControlContext = nil
	a := s.Send(t.Context(), message(fmt.Sprintf("http://shop.test:%d/", port)))
	if a.Verdict != string(NotPublic) || seen.Load() != 0 {
		t.Errorf("got %+v, %d requests", a, seen.Load())
	}
	if _, err := s.guard.dial(t.Context(), "tcp", "8.8.8.8:443"); !errors.Is(err, ErrNotPublic) {
		t.Errorf("dial without a target: %v", err)
	}
	if err := s.guard.control(t.Context(), "tcp4", "8.8.8.8:443", nil); !errors.Is(err, ErrNotPublic) {
		t.Errorf("control without a target: %v", err)
	}
	ctx := context.WithValue(t.Context(), targetKey{}, &target{port: 443})
	for network, address := range map[string]string{"udp4": "8.8.8.8:443", "unix": "/run/x", "tcp4": "8.8.8.8:444", "tcp6": "nonsense"} {
		if err := s.guard.control(ctx, network, address, nil); !errors.Is(err, ErrNotPublic) {
			t.Errorf("control of %s %s: %v", network, address, err)
		}
	}
}

func TestCheck(t *testing.T) {
	s := sender(t, Options{Resolver: answers{}})
	for url, ok := range map[string]bool{
		"https://shop.example/cb": true, "https://shop.example:8443/": true, "https://8.8.8.8/": true,
		"https://127.0.0.1/": false, "https://[::1]/": false, "https://[::ffff:8.8.8.8]/": false, "http://shop.example/": false,
		"https://2130706433/": false, "https://0x7f.1/": false, "https://한글.test/": false, "https://xn--bj0bj06e.test/": true,
	} {
		if err := s.Check(url); (err == nil) != ok {
			t.Errorf("%s: got %v, want ok %v", url, err, ok)
		}
	}
}
