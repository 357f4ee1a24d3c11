#!/usr/bin/env bash
# Installs what the tests need beside Go, or names it. On Debian and its relatives, as root or with sudo, it uses
# apt-get; elsewhere it prints the packages and fails. What is there already is left alone.
#
# A real bitcoind comes from tools/bitcoind.sh. Without one the tests against a real node are left out, loudly; where CI
# is set, or PIPE_REQUIRE_BITCOIND=1, it must be there.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
need() { # need PACKAGE TEST…: the package is missing unless the test succeeds
	local package=$1
	shift
	"$@" >/dev/null 2>&1 || missing+=("$package")
}
postgres() { compgen -G '/usr/lib/postgresql/*/bin/initdb'; }
font() { fc-list :lang=ko | grep -q .; }

[ -n "${TEST_DATABASE_URL:-}" ] || need postgresql postgres
if ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null && ! command -v google-chrome >/dev/null; then
	missing+=(chromium)
fi
need fontconfig command -v fc-list
need fonts-noto-cjk font
need zbar-tools command -v zbarimg
need curl command -v curl
need nodejs command -v node
need npm command -v npm
need gcc command -v gcc

if [ ${#missing[@]} -gt 0 ]; then
	install="apt-get install -y --no-install-recommends ${missing[*]}"
	sudo=
	[ "$(id -u)" = 0 ] || sudo="sudo -n"
	if ! command -v apt-get >/dev/null || { [ -n "$sudo" ] && ! $sudo true 2>/dev/null; }; then
		echo "setup: the tests need these Debian packages: ${missing[*]}" >&2
		echo "setup: install them, on Debian with: sudo $install" >&2
		exit 1
	fi
	echo "setup: installing ${missing[*]}"
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	# The tests start a private server of their own; the package's cluster would only take memory.
	if [[ " ${missing[*]} " == *" postgresql "* ]] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
		$sudo mkdir -p /etc/postgresql-common
		echo 'create_main_cluster = false' | $sudo tee /etc/postgresql-common/createcluster.conf >/dev/null
	fi
	if ! { $sudo apt-get -qq update && $sudo env DEBIAN_FRONTEND=noninteractive $install; } >"$log" 2>&1 </dev/null; then
		cat "$log" >&2
		exit 1
	fi
fi

if [ -n "${PIPE_BITCOIND:-}" ] || command -v bitcoind >/dev/null; then
	echo "setup: bitcoind is ${PIPE_BITCOIND:-$(command -v bitcoind)}"
elif bitcoind=$(PATH=$PATH:/usr/sbin tools/bitcoind.sh 2>&1 </dev/null | tail -n 1) && [ -x "$bitcoind" ]; then
	echo "setup: bitcoind is $bitcoind"
elif [ "${PIPE_REQUIRE_BITCOIND:-${CI:+1}}" = 1 ]; then
	echo "setup: no bitcoind could be had: $bitcoind" >&2
	exit 1
else
	echo "setup: NO BITCOIND COULD BE HAD: the tests against a real node will be left out ($bitcoind)"
fi

# A second engine for a smoke of the payment page. It is tried for, and not insisted on.
if ! command -v firefox-esr >/dev/null; then
	sudo=
	[ "$(id -u)" = 0 ] || sudo="sudo -n"
	if ! command -v apt-get >/dev/null || ! $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends firefox-esr >/dev/null 2>&1 </dev/null; then
		echo "setup: NO FIREFOX ESR COULD BE HAD: the payment page will be proven in Chromium alone (apt-get install firefox-esr)"
	fi
fi

# axe-core and html-validate, which check the payment pages.
tools/npm.sh >/dev/null || echo "setup: NPM GAVE NO CHECKERS: accessibility and HTML of the payment pages will not be proven"
