package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrNotPublic is in the chain of every refusal of an address, a port or a URL that callbacks never go to.
var ErrNotPublic = errors.New("not a public address")

// An Opening lets one exact origin resolve to networks that are otherwise refused. Link-local and cloud metadata addresses
// stay refused whatever the networks say.
type Opening struct {
	Origin   string // "http://127.0.0.1:8081": scheme, host and, unless it is the scheme's own, port
	Networks []netip.Prefix
}

// A Resolver looks up the addresses of a name. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// A guard is the only way out of this package: it resolves, judges and dials. Each address is judged in the dialer's
// ControlContext, after resolving and right before connecting, so there is no second look-up to rebind, and once more on
// the connection itself.
type guard struct {
	deny     []netip.Prefix
	nat64    []netip.Prefix
	ports    []uint16
	http     bool
	open     map[string][]netip.Prefix // by origin
	resolver Resolver
	dialer   net.Dialer
	host     hostAddrs
}

// A target is where one message goes. It travels in the context to the dialer's control, which refuses without one.
type target struct {
	origin string
	host   string
	port   uint16
	opened []netip.Prefix
	isOpen bool
}

type targetKey struct{}

func newGuard(o Options) (*guard, error) {
	g := &guard{
		deny:     slices.Clone(o.Deny),
		nat64:    slices.Clone(o.NAT64),
		ports:    slices.Clone(o.Ports),
		http:     o.AllowHTTP,
		open:     make(map[string][]netip.Prefix, len(o.Open)),
		resolver: o.Resolver,
		host:     hostAddrs{read: o.HostAddrs, now: o.Now},
	}
	if len(g.ports) == 0 {
		g.ports = []uint16{portHTTPS, portHTTPSAlt}
		if o.AllowHTTP {
			g.ports = append(g.ports, portHTTP)
		}
	}
	for _, p := range g.nat64 {
		if !p.Addr().Is6() || !slices.Contains(nat64Lengths, p.Bits()) {
			return nil, fmt.Errorf("read NAT64 prefix %s: RFC 6052 knows IPv6 prefixes of 32, 40, 48, 56, 64 and 96 bits", p)
		}
	}
	for _, o := range o.Open {
		u, err := parseURL(o.Origin)
		if err != nil {
			return nil, fmt.Errorf("read opened origin %q: %w", o.Origin, err)
		}
		if u.Path != "" && u.Path != "/" || u.RawQuery != "" {
			return nil, fmt.Errorf("read opened origin %q: an origin has no path and no query", o.Origin)
		}
		if len(o.Networks) == 0 {
			return nil, fmt.Errorf("read opened origin %q: name the networks it may resolve to", o.Origin)
		}
		g.open[originOf(u)] = slices.Clone(o.Networks)
	}
	g.dialer = net.Dialer{KeepAlive: -1, ControlContext: g.control}
	return g, nil
}

// check refuses URLs that no message may go to and answers where the others go. Literal addresses are judged here
// already, for a quick and clear answer; what protects is the judgement in control.
func (g *guard) check(raw string) (*url.URL, *target, error) {
	u, err := parseURL(raw)
	if err != nil {
		return nil, nil, err
	}
	t := &target{origin: originOf(u), host: u.Hostname(), port: portOf(u)}
	t.opened, t.isOpen = g.open[t.origin]
	switch {
	case u.Scheme == "http" && !g.http && !t.isOpen:
		return nil, nil, fmt.Errorf("http is not allowed here, use https: %w", ErrNotPublic)
	case !t.isOpen && !slices.Contains(g.ports, t.port):
		return nil, nil, fmt.Errorf("port %d is not one of %v: %w", t.port, g.ports, ErrNotPublic)
	}
	if addr, err := netip.ParseAddr(t.host); err == nil {
		if addr.Is4In6() {
			return nil, nil, fmt.Errorf("%s is an IPv4-mapped literal: %w", t.host, ErrNotPublic)
		}
		if err := g.judge(t, addr); err != nil {
			return nil, nil, err
		}
	}
	return u, t, nil
}

// dial connects to the target in the context. It is the transport's DialContext; the network and address that the
// transport asks for are those of the target's URL, and the target's are used.
func (g *guard) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	t, ok := ctx.Value(targetKey{}).(*target)
	if !ok {
		return nil, fmt.Errorf("dial without a checked target: %w", ErrNotPublic)
	}
	addrs, err := g.resolve(ctx, t.host)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(ConnectTimeout)
	var failures []error
	for i, addr := range addrs {
		// Each address gets its fair part of the time that is left, so that a dead first one leaves time for the next.
		left := time.Until(deadline) / time.Duration(len(addrs)-i)
		conn, err := g.dialOne(ctx, t, addr, left)
		if err == nil {
			return conn, nil
		}
		failures = append(failures, err)
	}
	return nil, worst(failures)
}

// worst picks the error that tells most: a connection that failed says more than an address that was refused.
func worst(failures []error) error {
	for _, err := range failures {
		if !errors.Is(err, ErrNotPublic) {
			return err
		}
	}
	return failures[0]
}

func (g *guard) dialOne(ctx context.Context, t *target, addr netip.Addr, within time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	network := "tcp6"
	if addr.Is4() {
		network = "tcp4"
	}
	conn, err := g.dialer.DialContext(ctx, network, netip.AddrPortFrom(addr, t.port).String())
	if err != nil {
		return nil, &connectError{err}
	}
	remote, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err == nil {
		err = g.judge(t, remote.Addr())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("check the connected address: %w", err), conn.Close())
	}
	return conn, nil
}

// resolve looks a name up once. Literal addresses stand for themselves.
func (g *guard) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr.Unmap()}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, ResolveTimeout)
	defer cancel()
	found, err := g.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, &resolveError{err}
	}
	var addrs []netip.Addr
	for _, addr := range found {
		if addr = addr.Unmap(); !slices.Contains(addrs, addr) && len(addrs) < MaxAddresses {
			addrs = append(addrs, addr)
		}
	}
	if len(addrs) == 0 {
		return nil, &resolveError{errors.New("the name has no address")}
	}
	return addrs, nil
}

// control is called for each address really tried, after resolving and before connecting.
func (g *guard) control(ctx context.Context, network, address string, _ syscall.RawConn) error {
	t, ok := ctx.Value(targetKey{}).(*target)
	switch {
	case !ok:
		return fmt.Errorf("connect without a checked target: %w", ErrNotPublic)
	case network != "tcp4" && network != "tcp6":
		return fmt.Errorf("network %s: %w", network, ErrNotPublic)
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("read address to connect to: %w", errors.Join(err, ErrNotPublic))
	}
	if to.Port() != t.port {
		return fmt.Errorf("port %d is not the target's: %w", to.Port(), ErrNotPublic)
	}
	return g.judge(t, to.Addr())
}

// judge decides over an address for a target: the operator's refusals first, then his openings, then the table and the
// host's own addresses.
func (g *guard) judge(t *target, addr netip.Addr) error {
	plain := addr.Unmap()
	for _, p := range g.deny {
		if p.Contains(plain) {
			return refuse(addr, "denied by the operator")
		}
	}
	if t.isOpen {
		if err := neverOpened(addr, g.nat64); err != nil {
			return err
		}
		for _, p := range t.opened {
			if p.Contains(plain) {
				return nil
			}
		}
	}
	if err := Judge(addr, g.nat64...); err != nil {
		return err
	}
	own, err := g.host.contains(plain)
	if err != nil {
		return errors.Join(err, ErrNotPublic)
	}
	if embedded, ok := embeddedIPv4(plain, g.nat64); ok && !own {
		own, err = g.host.contains(embedded)
		if err == nil {
			for _, p := range g.deny {
				if p.Contains(embedded) {
					return refuse(addr, "denied by the operator")
				}
			}
		}
	}
	if err != nil {
		return errors.Join(err, ErrNotPublic)
	}
	if own {
		return refuse(addr, "this host's own")
	}
	return nil
}

// hostAddrs are the addresses of the host's own interfaces, read anew when they are older than HostRefresh. The mutex
// owns known and at.
type hostAddrs struct {
	read func() ([]net.Addr, error)
	now  func() time.Time

	mu    sync.Mutex
	known map[netip.Addr]bool
	at    time.Time
}

// contains fails when the interfaces cannot be read: then nothing is known to be safe.
func (h *hostAddrs) contains(addr netip.Addr) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	if h.known == nil || now.Sub(h.at) > HostRefresh || now.Before(h.at) {
		all, err := h.read()
		if err != nil {
			return false, fmt.Errorf("read this host's addresses: %w", err)
		}
		h.known, h.at = make(map[netip.Addr]bool, len(all)), now
		for _, a := range all {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				h.known[p.Addr().Unmap()] = true
			}
		}
	}
	return h.known[addr], nil
}

// parseURL reads a callback URL strictly: what one reader could take for another host is refused.
func parseURL(raw string) (*url.URL, error) {
	if len(raw) > MaxURL {
		return nil, fmt.Errorf("a URL has at most %d characters: %w", MaxURL, ErrNotPublic)
	}
	for _, c := range []byte(raw) {
		if c <= ' ' || c == 0x7f || c == '\\' {
			return nil, fmt.Errorf("a URL has no spaces, control characters or backslashes: %w", ErrNotPublic)
		}
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, fmt.Errorf("this is not a URL: %w", ErrNotPublic)
	case u.Scheme != "https" && u.Scheme != "http" || u.Opaque != "":
		return nil, fmt.Errorf("a callback goes to an https URL: %w", ErrNotPublic)
	case u.User != nil || u.Fragment != "" || strings.Contains(raw, "#"):
		return nil, fmt.Errorf("a callback URL has no user name, password or fragment: %w", ErrNotPublic)
	case !plainHost(u):
		return nil, fmt.Errorf("%q is not a plain host name or address: %w", clip(u.Host, MaxDetail), ErrNotPublic)
	}
	if text := u.Port(); text != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(text, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("%q is not a port: %w", clip(text, MaxDetail), ErrNotPublic)
		}
	}
	return u, nil
}

// plainHost takes ASCII names and literal addresses in their one usual spelling. A name whose last label is a number is
// an address to some readers (inet_aton, browsers) and a name to others, so octal, hexadecimal and short forms are out.
func plainHost(u *url.URL) bool {
	host := u.Hostname()
	if strings.HasPrefix(u.Host, "[") {
		addr, err := netip.ParseAddr(host)
		return err == nil && addr.Is6() && addr.Zone() == ""
	}
	for _, c := range []byte(host) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_') {
			return false
		}
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	last := strings.ToLower(labels[len(labels)-1])
	if last == "" {
		return false
	}
	if strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") && strings.Trim(last[2:], "0123456789abcdef") == "" {
		_, err := netip.ParseAddr(host)
		return err == nil
	}
	return true
}

func portOf(u *url.URL) uint16 {
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
		return uint16(n)
	}
	if u.Scheme == "http" {
		return portHTTP
	}
	return portHTTPS
}

// originOf is the normal form of a URL's origin: lower case, without the scheme's own port.
func originOf(u *url.URL) string {
	host, port := strings.ToLower(u.Hostname()), portOf(u)
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if u.Scheme == "https" && port == portHTTPS || u.Scheme == "http" && port == portHTTP {
		return u.Scheme + "://" + host
	}
	return u.Scheme + "://" + host + ":" + strconv.Itoa(int(port))
}

func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// A resolveError and a connectError keep apart at which step a try failed.
type resolveError struct{ err error }

func (e *resolveError) Error() string { return e.err.Error() }
func (e *resolveError) Unwrap() error { return e.err }

type connectError struct{ err error }

func (e *connectError) Error() string { return e.err.Error() }
func (e *connectError) Unwrap() error { return e.err }
