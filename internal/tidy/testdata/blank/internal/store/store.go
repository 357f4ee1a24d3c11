package store

func do() (int, error) { return 0, nil }

func run() int {
	_, _ = do() // want
	n, _ := do()
	var m int
	m, _ = do()
	return n + m
}

var _ error = error(nil)
