package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/pipe-pg/pipe/internal/payment"
)

// Static serves embedded files under names that hold a hash of their content, so that browsers may keep them for ever. It
// never changes once made.
type Static struct {
	prefix string
	names  map[string]string // plain name → hashed name
	files  map[string]file   // hashed name → file
}

type file struct {
	kind        string
	plain, gzip []byte
}

// NewStatic reads all files of a file system, to be served under a prefix like "/static/".
func NewStatic(prefix string, files fs.FS) (*Static, error) {
	s := &Static{prefix: prefix, names: map[string]string{}, files: map[string]file{}}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		ext := path.Ext(name)
		hashed := strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
		small, err := squeeze(body)
		if err != nil {
			return err
		}
		s.names[name], s.files[hashed] = hashed, file{mime.TypeByExtension(ext), body, small}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read static files: %w", err)
	}
	return s, nil
}

// URL is the path of a file by its plain name. It panics on an unknown name: templates are tested.
func (s *Static) URL(name string) string {
	hashed, ok := s.names[name]
	if !ok {
		panic("web: no static file " + name)
	}
	return s.prefix + hashed
}

// Body is a copy of a file by its plain name.
func (s *Static) Body(name string) []byte { return bytes.Clone(s.files[s.names[name]].plain) }

// Serve answers a file by its hashed name. Error: no-such-call.
func (s *Static) Serve(w http.ResponseWriter, r *http.Request) error {
	f, ok := s.files[strings.TrimPrefix(r.URL.Path, s.prefix)]
	if !ok {
		return payment.Refuse(payment.NotFound, payment.WordNoRoute, "there is nothing at this address")
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	return f.serve(w, r)
}

// ServePlain answers a file by its plain name, to be kept for a short time: for addresses that others wrote down.
func (s *Static) ServePlain(name string) Handler {
	f := s.files[s.names[name]]
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Cache-Control", "public, max-age=300")
		return f.serve(w, r)
	}
}

func (f file) serve(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	body := f.plain
	if len(f.gzip) < len(f.plain) {
		h.Set("Vary", "Accept-Encoding")
		if takesGzip(r) {
			h.Set("Content-Encoding", "gzip")
			body = f.gzip
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	if _, err := w.Write(body); err != nil {
		return fmt.Errorf("send file: %w", err)
	}
	return nil
}

// Send answers a whole body, compressed where that is worth it. The headers other than its length and encoding are set.
func Send(w http.ResponseWriter, r *http.Request, status int, body []byte) error {
	h := w.Header()
	if len(body) >= compressFrom {
		h.Add("Vary", "Accept-Encoding")
		if takesGzip(r) {
			small, err := squeeze(body)
			if err != nil {
				return err
			}
			h.Set("Content-Encoding", "gzip")
			body = small
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return nil
	}
	if _, err := w.Write(body); err != nil {
		return fmt.Errorf("send answer: %w", err)
	}
	return nil
}

func squeeze(body []byte) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(body); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return b.Bytes(), nil
}

// takesGzip reads Accept-Encoding (RFC 9110, 12.5.3); a weight of zero refuses.
func takesGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q := strings.TrimPrefix(strings.ReplaceAll(strings.ToLower(weight), " ", ""), "q=")
			return q == "" || strings.Trim(q, "0.") != ""
		}
	}
	return false
}
