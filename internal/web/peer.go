package web

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/pipe-pg/pipe/internal/payment"
)

// Peers tells who called. The TCP peer decides; X-Forwarded-For counts only from the proxies named here.
type Peers struct {
	Proxies []netip.Prefix
}

// Addr is the caller's address. Behind a configured proxy it is the last forwarded address that is not itself such a proxy,
// read from right to left, so that what a caller wrote into the header himself never counts. A configured proxy that
// forwards no address, or one that cannot be read, is refused: its own address would open the door for everybody.
func (p Peers) Addr(r *http.Request) (netip.Addr, error) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, payment.Refuse(payment.Forbidden, payment.WordIP, "the caller's address cannot be read")
	}
	addr := plain(peer.Addr())
	if !p.trusted(addr) {
		return addr, nil
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	if len(hops) > MaxHops {
		hops = hops[len(hops)-MaxHops:]
	}
	for _, hop := range slices.Backward(hops) {
		var ok bool
		if addr, ok = parseHop(strings.TrimSpace(hop)); !ok {
			return netip.Addr{}, payment.Refuse(payment.Forbidden, payment.WordIP,
				"the proxy forwarded no address of the caller that can be read: set X-Forwarded-For in the proxy")
		}
		if !p.trusted(addr) {
			return addr, nil
		}
	}
	return addr, nil
}

func (p Peers) trusted(addr netip.Addr) bool {
	return slices.ContainsFunc(p.Proxies, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// parseHop reads one forwarded address, with or without a port.
func parseHop(text string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return plain(ap.Addr()), true
	}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	addr, err := netip.ParseAddr(text)
	return plain(addr), err == nil
}

// plain is an address as registrations compare it: IPv4 as IPv4, without a zone.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
