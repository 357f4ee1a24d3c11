#!/usr/bin/env bash
# gofmt, go vet, the linters of tools/lint and staticcheck, all at the versions that tools/go.mod names.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
step() {
	local name=$1
	shift
	echo "lint: $name"
	"$@" || failed=1
}

format() {
	local wrong
	wrong=$(gofmt -l $(git ls-files '*.go'))
	[ -z "$wrong" ] || { printf 'not formatted by gofmt:\n%s\n' "$wrong" >&2; return 1; }
}

mkdir -p bin
go -C tools build -o ../bin/pipe-lint ./lint
go -C tools build -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck
step gofmt format
step vet go vet ./...
step "errcheck, errorlint, exhaustive, nilerr, nilnil, noctx, bodyclose, rowserrcheck, sqlclosecheck" \
	go vet -vettool="$PWD/bin/pipe-lint" ./...
step staticcheck bin/staticcheck ./...
exit $failed
