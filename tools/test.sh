#!/usr/bin/env bash
# All tests, in stages; each says when it starts and how long it took. The first stage that fails ends the run.
set -euo pipefail
cd "$(dirname "$0")/.."

run=$(date +%s)
stage() { # stage NAME COMMAND…
	local name=$1 start
	shift
	start=$(date +%s)
	printf '\n==> %s\n' "$name"
	"$@" || {
		printf '==> %s: FAILED after %d s\n' "$name" $(($(date +%s) - start)) >&2
		exit 1
	}
	printf '==> %s: done in %d s (%d s in all)\n' "$name" $(($(date +%s) - start)) $(($(date +%s) - run))
}

modules() {
	go mod download && go mod verify >/dev/null && go -C tools mod download
}

node() { # is there a real bitcoind? Then its tests must run.
	[ -z "${PIPE_REQUIRE_BITCOIND:-}" ] || return 0
	if [ -n "${CI:-}" ] || [ -n "${PIPE_BITCOIND:-}" ] || command -v bitcoind >/dev/null || tools/bitcoind.sh >/dev/null 2>&1; then
		export PIPE_REQUIRE_BITCOIND=1
	fi
}

tests() {
	# The stage lint ran vet already.
	# shellcheck disable=SC2086 # words are meant
	go test -vet=off -timeout 20m ${GOTESTFLAGS:-} ./...
}

closing() {
	if [ "${PIPE_REQUIRE_BITCOIND:-}" = 1 ]; then
		echo "proven against a real bitcoind: yes"
	else
		echo "PROVEN AGAINST A REAL BITCOIND: NO. There was none; tools/bitcoind.sh tells how to get one."
	fi
	if command -v firefox-esr >/dev/null; then
		echo "payment page proven in Firefox ESR too: yes"
	else
		echo "PAYMENT PAGE PROVEN IN FIREFOX ESR TOO: NO. There was none; on Debian: apt-get install firefox-esr."
	fi
	echo "all stages passed in $(($(date +%s) - run)) s"
}

stage setup tools/setup.sh
node
stage modules modules
echo "A first build takes some minutes: it compiles a whole Ethereum node."
# Built as the tests build, so that they find what is compiled: a release build (make build) compiles all of it anew.
stage build go build ./...
stage lint tools/lint.sh
stage test tests
stage race make --no-print-directory race
stage govulncheck tools/govulncheck.sh
closing
