#!/bin/sh
# Installs what tools/npm/package-lock.json names, the checkers of the browser tests, into the user's cache, and prints
# their directory. npm verifies each package against the lock; none of their install scripts run. A second run is done at once.
set -eu
cd "$(dirname "$0")/npm"

lock=$(sha256sum package-lock.json | cut -c1-12)
dir=${XDG_CACHE_HOME:-$HOME/.cache}/pipe/npm/$lock
if [ ! -e "$dir/ready" ]; then
	mkdir -p "$dir"
	cp package.json package-lock.json "$dir/"
	npm ci --legacy-peer-deps --prefix "$dir" --ignore-scripts --no-audit --no-fund --fetch-timeout=20000 --fetch-retries=2 >&2
	touch "$dir/ready"
fi
echo "$dir"
