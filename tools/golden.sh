#!/usr/bin/env bash
# Writes anew every document and golden file that a test compares with the code: the tests in files that know *update.
set -euo pipefail
cd "$(dirname "$0")/.."

for file in $(grep -rl --include='*_test.go' '\*update' internal client cmd | sort); do
	tests=$(sed -n 's/^func \(Test[A-Za-z0-9_]*\)(.*/\1/p' "$file" | paste -sd '|')
	[ -n "$tests" ] || continue
	echo "golden: $file"
	go test -count=1 -run "^($tests)\$" "./$(dirname "$file")" -update
done
