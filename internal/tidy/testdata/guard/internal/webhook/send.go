package webhook

import "net/http"

func send(url string) (*http.Response, error) {
	return http.Get(url) // want
}

func guarded() *http.Client { return &http.Client{} }
