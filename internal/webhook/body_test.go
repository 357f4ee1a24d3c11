package webhook

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os/exec"
	"testing"

	"github.com/pipe-pg/pipe/internal/payment"
)

var sampleFields = []payment.Field{
	{Name: "invoice_id", Text: "944B"},
	{Name: "order_name", Text: "주문 <b>\"이름\"</b> & 100% \u2028 \\ \n"},
	{Name: "price", Kind: payment.NumberField, Text: "12345678901234567890.10"},
	{Name: "status", Kind: payment.NumberField, Text: "2"},
	{Name: "coin_amount", Text: "0.066730"},
	{Name: "sender_address", Text: ""},
}

func TestRenderJSON(t *testing.T) {
	contentType, body := Render(1, "success", sampleFields, payment.EncodingJSON)
	want := `{"code":1,"message":"success","data":{"invoice_id":"944B","order_name":"주문 <b>\"이름\"</b> & 100% \u2028 \\ \n",` +
		`"price":12345678901234567890.10,"status":2,"coin_amount":"0.066730","sender_address":""}}`
	if contentType != "application/json" || string(body) != want {
		t.Errorf("got %s\n%s\nwant\n%s", contentType, body, want)
	}
	var back struct {
		Code int
		Data map[string]any
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&back); err != nil {
		t.Fatal(err)
	}
	if back.Code != 1 || back.Data["price"] != json.Number("12345678901234567890.10") || back.Data["order_name"] != sampleFields[1].Text {
		t.Errorf("read back %v", back)
	}
}

func TestRenderIsAlwaysJSON(t *testing.T) {
	for _, text := range []string{"", "-", "1e5", "NaN", "01", "1.", ".5", "+1", "0x1", "１０", "1,000", "\xff\xfe", "}", "-0.50", "0", "10500"} {
		_, body := Render(4092, "reversed", []payment.Field{{Name: "n", Kind: payment.NumberField, Text: text}}, payment.EncodingJSON)
		if !json.Valid(body) {
			t.Errorf("%q: not JSON: %s", text, body)
		}
	}
}

func TestRenderForm(t *testing.T) {
	contentType, body := Render(1, "success", sampleFields, payment.EncodingForm)
	values, err := url.ParseQuery(string(body))
	if err != nil || contentType != "application/x-www-form-urlencoded" {
		t.Fatalf("%s: %v", contentType, err)
	}
	if values.Get("code") != "1" || values.Get("message") != "success" {
		t.Errorf("got %v", values)
	}
	for _, f := range sampleFields {
		if got := values["data["+f.Name+"]"]; len(got) != 1 || got[0] != f.Text {
			t.Errorf("%s: got %q, want %q", f.Name, got, f.Text)
		}
	}
	if bytes.ContainsAny(body, "[]<>\"' \n") {
		t.Errorf("not encoded: %s", body)
	}
}

// Where PHP is installed it must read the form as the nested array that merchants expect.
func TestRenderFormAsPHPReadsIt(t *testing.T) {
	php, err := exec.LookPath("php")
	if err != nil {
		t.Log("NOT PROVEN: php is not installed, so only Go's reader checked the form")
		return
	}
	_, body := Render(1, "success", sampleFields, payment.EncodingForm)
	cmd := exec.CommandContext(t.Context(), php, "-r", `parse_str(stream_get_contents(STDIN), $a); echo json_encode($a, JSON_UNESCAPED_UNICODE);`)
	cmd.Stdin = bytes.NewReader(body)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Code, Message string
		Data          map[string]string
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	for _, f := range sampleFields {
		if got.Data[f.Name] != f.Text {
			t.Errorf("%s: PHP read %q, want %q", f.Name, got.Data[f.Name], f.Text)
		}
	}
}
