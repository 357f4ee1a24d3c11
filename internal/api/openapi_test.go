package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/pipe-pg/pipe/internal/payment"
)

// described is the document, read and checked once.
var described = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(context.Background())
})

// routeOf is the described operation of a request, nil when there is none.
func routeOf(t testing.TB, req *http.Request) *routers.Route {
	t.Helper()
	doc, err := described()
	if err != nil {
		t.Fatalf("openapi.json: %v", err)
	}
	item := doc.Paths.Find(req.URL.Path)
	if item == nil || item.GetOperation(req.Method) == nil {
		return nil
	}
	return &routers.Route{Spec: doc, Server: doc.Servers[0], Path: req.URL.Path, PathItem: item, Method: req.Method, Operation: item.GetOperation(req.Method)}
}

// checkDescribed holds an answer, and the request when it was taken, against the document. The guide's rocket bodies are
// the one thing that the document does not describe.
func checkDescribed(t testing.TB, req *http.Request, body string, a reply) {
	t.Helper()
	route := routeOf(t, req)
	if route == nil {
		if a.code != "4041" && a.code != "4050" {
			t.Errorf("%s %s is not described", req.Method, req.URL.Path)
		}
		return
	}
	in := &openapi3filter.RequestValidationInput{Request: req, Route: route, Options: &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, MultiError: true,
	}}
	rocket := req.Header.Get("Content-Type") == "multipart/form-data"
	if a.code == "1" && !rocket && !strings.Contains(req.Header.Get("Content-Type"), "urlencoded") {
		req.Body = io.NopCloser(strings.NewReader(body))
		if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil {
			t.Errorf("a request that was taken is not as described: %v\n%s", err, body)
		}
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: a.status, Header: a.header,
		Body: io.NopCloser(bytes.NewReader(a.raw)), Options: in.Options}
	if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
		t.Errorf("an answer is not as described: %v\n%s", err, a.raw)
	}
}

// The document names every status and code of the table, and no other; and every field of the guide's tables.
func TestDescription(t *testing.T) {
	doc, err := described()
	if err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("version %s", doc.OpenAPI)
	}
	var numbers []float64
	for _, c := range codes {
		if !slices.Contains(numbers, float64(c.number)) {
			numbers = append(numbers, float64(c.number))
		}
	}
	var named []float64
	for _, n := range doc.Components.Schemas["Code"].Value.Enum {
		named = append(named, n.(float64))
	}
	slices.Sort(numbers)
	if !slices.Equal(numbers, named) {
		t.Errorf("codes %v, described %v", numbers, named)
	}
	for path, item := range doc.Paths.Map() {
		for _, c := range codes {
			if item.Post.Responses.Status(c.status()) == nil && (c.number != 4220 || path == testPath) {
				t.Errorf("%s: status %d is not described", path, c.status())
			}
		}
		for kind := range item.Post.RequestBody.Value.Content {
			if !slices.Contains([]string{"application/json", urlencoded, "multipart/form-data"}, kind) {
				t.Errorf("%s: %s", path, kind)
			}
		}
	}
	for _, path := range []string{createPath, refundPath, testPath} {
		if len(doc.Paths.Find(path).Post.Callbacks) != 1 {
			t.Errorf("%s: no callback is described", path)
		}
	}
	for name, fields := range map[string][]payment.Field{
		"Invoice": payment.Statement(payment.Facts{}), "Refund": payment.RefundStatement(payment.Facts{}, payment.Payout{}),
	} {
		described := doc.Components.Schemas[name].Value
		if len(fields) != len(described.Properties) || len(fields) != len(described.Required) {
			t.Errorf("%s: %d fields, %d described", name, len(fields), len(described.Properties))
		}
		for i, f := range fields {
			p := described.Properties[f.Name]
			if p == nil || described.Required[i] != f.Name {
				t.Errorf("%s: %s is not described, or not in its place", name, f.Name)
				continue
			}
			if text := p.Value.Type.Is("string"); text != (f.Kind == payment.TextField) {
				t.Errorf("%s: %s: described as %v", name, f.Name, p.Value.Type)
			}
		}
	}
}

// What is described must also be refused where it does not fit: else the checks above would check nothing.
func TestDescriptionRefuses(t *testing.T) {
	doc, err := described()
	if err != nil {
		t.Fatal(err)
	}
	answer := doc.Components.Schemas["InvoiceAnswer"].Value
	for _, body := range []string{`{"code":1,"message":"success","data":{}}`, `{"code":"1","message":"success","data":null}`, `{}`} {
		var v any
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatal(err)
		}
		if answer.VisitJSON(v, openapi3.EnableJSONSchema2020()) == nil {
			t.Errorf("%s fits", body)
		}
	}
}
