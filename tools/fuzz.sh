#!/usr/bin/env bash
# Runs each fuzz target for the given time.
#
#   usage: tools/fuzz.sh [time, default 10s] [package pattern, default ./...]
set -euo pipefail
cd "$(dirname "$0")/.."

time=${1:-10s}
pattern=${2:-./...}
for dir in $(go list -f '{{.Dir}}' "$pattern"); do
	for target in $(cat "$dir"/*_test.go 2>/dev/null | sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p'); do
		echo "fuzz: ${dir#"$PWD"/} $target $time"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 2s "$dir"
	done
done
