#!/usr/bin/env bash
# Writes anew every document and golden file that a test compares with the code: the packages whose tests know -update.
set -euo pipefail
cd "$(dirname "$0")/.."

grep -rl --include='*_test.go' 'flag.Bool("update"' internal client cmd | xargs -r -n 1 dirname | sort -u | while read -r dir; do
	echo "golden: $dir"
	go test -count=1 "./$dir" -update
done
