package store

import (
	"encoding/json"
	"fmt"
)

// jsons writes and reads several JSON columns and keeps the first error.
type jsons struct{ err error }

func (j *jsons) text(v any) string {
	b, err := json.Marshal(v)
	if err != nil && j.err == nil {
		j.err = fmt.Errorf("write a column: %w", err)
	}
	return string(b)
}

func (j *jsons) read(text string, v any) {
	if err := json.Unmarshal([]byte(text), v); err != nil && j.err == nil {
		j.err = fmt.Errorf("read a column: %w", err)
	}
}

// list is never null in JSON.
func list[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}
