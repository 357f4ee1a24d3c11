package engine

import "context"

func four(ctx context.Context, a, b, c int) {}

func five(ctx context.Context, a, b, c, d int) {} // want

type Desk struct{}

func (Desk) five(a int, b string, c, d, e bool) {} // want
