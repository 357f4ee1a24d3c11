package tidy

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/app"
	"github.com/pipe-pg/pipe/internal/signer"
)

var update = flag.Bool("update", false, "write the generated part of docs/operate.md anew")

const (
	settingsBegin = "<!-- settings: generated, see make generate -->\n"
	settingsEnd   = "<!-- end of settings -->\n"
)

// Every setting of the program is in docs/operate.md, as the program describes it.
func TestSettings(t *testing.T) {
	t.Parallel()
	file := filepath.Join(projectRoot, "docs", "operate.md")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), settingsBegin)
	was, after, ok2 := strings.Cut(rest, settingsEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no part for settings", file)
	}
	is := settingsTable(t, reflect.TypeFor[app.Config]()) + signerIntro + settingsTable(t, reflect.TypeFor[signer.Config]())
	if was == is {
		return
	}
	if !*update {
		t.Fatalf("the settings in docs/operate.md are not those of the program: run make generate\nwant:\n%s", is)
	}
	if err := os.WriteFile(file, []byte(before+settingsBegin+is+settingsEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

const signerIntro = "Those of the signer, `pipe signer config`:\n"

func settingsTable(t *testing.T, typ reflect.Type) string {
	t.Helper()
	var out strings.Builder
	out.WriteString("\n| setting | default | what it is |\n| --- | --- | --- |\n")
	for i := range typ.NumField() {
		if !typ.Field(i).IsExported() {
			continue
		}
		tag := typ.Field(i).Tag
		key, help := tag.Get("key"), tag.Get("help")
		if key == "" || help == "" {
			t.Errorf("setting %s has no key or no help", typ.Field(i).Name)
		}
		value := ""
		if d := tag.Get("default"); d != "" {
			value = "`" + d + "`"
		}
		if tag.Get("secret") != "" {
			help = "*Secret.* " + help
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s |\n", key, value, strings.ReplaceAll(help, "|", `\|`))
	}
	out.WriteString("\n")
	return out.String()
}
