package web

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pipe-pg/pipe/internal/payment"
)

//go:embed text/*.json
var textFiles embed.FS

// Texts are the catalogues of all languages.
type Texts struct {
	english, korean map[string]string
}

// A Catalogue says everything in one language.
type Catalogue struct {
	Language payment.Language
	texts    map[string]string
}

// LoadTexts reads the embedded catalogues.
func LoadTexts() (Texts, error) {
	var t Texts
	for name, into := range map[string]*map[string]string{"text/en.json": &t.english, "text/ko.json": &t.korean} {
		body, err := textFiles.ReadFile(name)
		if err != nil {
			return t, fmt.Errorf("read texts: %w", err)
		}
		if err := json.Unmarshal(body, into); err != nil {
			return t, fmt.Errorf("read texts %s: %w", name, err)
		}
	}
	return t, nil
}

// In is the catalogue of a language; English for an unknown one.
func (t Texts) In(l payment.Language) Catalogue {
	if l == payment.Korean {
		return Catalogue{l, t.korean}
	}
	return Catalogue{payment.English, t.english}
}

// Tag is the language as HTML names it (BCP 47): "kr" of the API would be Kanuri.
func (c Catalogue) Tag() string {
	if c.korean() {
		return "ko"
	}
	return "en"
}

func (c Catalogue) korean() bool { return c.Language == payment.Korean }

// Say is the text of a key, its {placeholders} filled from pairs of name and value. An unknown key prints as ⟦key⟧, which
// tests look for.
func (c Catalogue) Say(key string, pairs ...any) string {
	text, ok := c.texts[key]
	if !ok {
		return "⟦" + key + "⟧"
	}
	var fill []string
	for i := 0; i+1 < len(pairs); i += 2 {
		fill = append(fill, fmt.Sprintf("{%v}", pairs[i]), fmt.Sprint(pairs[i+1]))
	}
	return strings.NewReplacer(fill...).Replace(text) // in one pass: a value is never read as a placeholder
}

// Has tells whether there is a text of that key.
func (c Catalogue) Has(key string) bool { _, ok := c.texts[key]; return ok }

// Loaded tells whether the catalogues were read.
func (t Texts) Loaded() bool { return t.english != nil }

// Keys are all keys, in no order.
func (c Catalogue) Keys() []string { return slices.Collect(maps.Keys(c.texts)) }
