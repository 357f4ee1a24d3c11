package api

import "net/http"

var client = &http.Client{} // want

func handle(w http.ResponseWriter, r *http.Request) { http.Error(w, r.URL.Path, http.StatusTeapot) }
