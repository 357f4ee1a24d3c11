package demo

import (
	"net/http"
)

// A mode is a page of the shop that opens payments in one way alone.
type mode struct {
	Path, OpenType, Name, About string
	Plain                       bool // written without /pipe.js
}

// modes are the shop's pages for integrators to look at: one for each open type, and one that refuses the script.
func modes() []mode {
	return []mode{
		{"/redirect", "redirect", "Redirect", "The payment page opens in this window and comes back to the shop. This needs no script at all.", false},
		{"/popup", "popup", "Popup", "PIPE.open() opens a window in the click, and the payment page closes it. Where popups are blocked, it is a redirect.", false},
		{"/layer", "layer", "Layer", "PIPE.open() lays the payment page over this one. After paying it calls _PIPE_PG_CLOSE(), once.", false},
		{"/plain", "layer", "Layer without /pipe.js", "The shop frames the payment page itself and listens for one message: six lines, which are all of this page's script for payments.", true},
	}
}

// modePages adds the pages of all modes.
func (s *shop) modePages(mux *http.ServeMux) {
	for _, m := range modes() {
		mux.HandleFunc("GET "+m.Path, func(w http.ResponseWriter, _ *http.Request) {
			if m.Plain {
				s.mu.Lock()
				pipe := s.pipeURL
				s.mu.Unlock()
				// As strict as can be: nothing but the shop's own script, and PIPE in a frame.
				w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src "+
					pipe+"; form-action 'self' "+pipe+"; base-uri 'none'; require-trusted-types-for 'script'")
			}
			s.show(w, "mode", map[string]any{"Mode": m, "Modes": modes(), "Products": products})
		})
	}
}
