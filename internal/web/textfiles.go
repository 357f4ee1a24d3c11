package web

import (
	"encoding/json"
	"fmt"
	"io/fs"

	"github.com/pipe-pg/pipe/internal/payment"
)

// ReadTexts reads the catalogues of a front door that has its own: files NOUN.en.json and NOUN.ko.json, which together say
// everything. A key that two files have is an error.
func ReadTexts(files fs.FS) (Texts, error) {
	t := Texts{english: map[string]string{}, korean: map[string]string{}}
	for tag, into := range map[string]map[string]string{"en": t.english, "ko": t.korean} {
		names, err := fs.Glob(files, "*."+tag+".json")
		if err != nil {
			return t, fmt.Errorf("list texts: %w", err)
		}
		for _, name := range names {
			body, err := fs.ReadFile(files, name)
			if err != nil {
				return t, fmt.Errorf("read texts: %w", err)
			}
			var part map[string]string
			if err := json.Unmarshal(body, &part); err != nil {
				return t, fmt.Errorf("read texts %s: %w", name, err)
			}
			for key, text := range part {
				if _, twice := into[key]; twice {
					return t, fmt.Errorf("read texts %s: %q is in another file too", name, key)
				}
				into[key] = text
			}
		}
	}
	return t, nil
}

// LanguageOf reads a language as people and browsers write it: en, ko, ko-KR, kr.
func LanguageOf(text string) (payment.Language, bool) {
	switch {
	case len(text) >= 2 && (text[:2] == "ko" || text[:2] == "kr"):
		return payment.Korean, true
	case len(text) >= 2 && text[:2] == "en":
		return payment.English, true
	}
	return payment.English, false
}
