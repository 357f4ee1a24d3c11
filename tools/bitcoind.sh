#!/bin/sh
# Gets a real, Bitcoin Core compatible node for the tests and prints the path of its bitcoind.
#
#   usage: tools/bitcoind.sh [directory]
#
# The node is Debian's bitcoin-knots with all its libraries, from the suite sid. apt verifies and downloads it with
# directories of its own, dpkg-deb unpacks it, and it runs with its own loader: nothing is installed on the
# machine, and no root is needed. The directory defaults to ${XDG_CACHE_HOME:-$HOME/.cache}/pipe/bitcoind.
# A second run finds what is there and is done at once.
set -eu

package=bitcoin-knots
suite=sid
dir=${1:-${PIPE_BITCOIND_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pipe/bitcoind}}
case $dir in /*) ;; *) dir=$PWD/$dir ;; esac
bin=$dir/bin/bitcoind

say() { echo "bitcoind.sh: $*" >&2; }
die() { say "$*"; exit 1; }

ready() { [ -x "$bin" ] && "$bin" --version >/dev/null 2>&1; }

if ready; then
	echo "$bin"
	exit 0
fi

for tool in apt-get dpkg-deb dpkg; do
	command -v "$tool" >/dev/null || die "needs $tool (Debian or a relative). Elsewhere install Bitcoin Core 29 or later and set PIPE_BITCOIND to its bitcoind."
done
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keys" ] || die "needs $keys: install the package debian-archive-keyring."

mkdir -p "$dir/bin"
work=$(mktemp -d "$dir/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# The mirror is the one this machine's apt uses for Debian, so that a local mirror is reused.
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
	sed -e 's/#.*//' | tr ' \t' '\n\n' | grep -E '^https?://[^ ]+/debian/?$' | head -n 1) || mirror=
mirror=${mirror:-http://deb.debian.org/debian}

mkdir -p "$work/etc/apt.conf.d" "$work/etc/preferences.d" "$work/lists/partial" "$work/cache/archives/partial" "$work/root"
: >"$work/status"
echo "deb [signed-by=$keys] $mirror $suite main" >"$work/etc/sources.list"
{
	# Proxies and retries of this machine stay in force; its hooks and sources do not.
	apt-config dump 2>/dev/null | grep -E '^Acquire::(http|https|Retries)' || true
	cat <<-EOF
		Dir "$work";
		Dir::Etc "$work/etc";
		Dir::State "$work";
		Dir::State::lists "$work/lists";
		Dir::State::status "$work/status";
		Dir::Cache "$work/cache";
		Dir::Log "$work";
		APT::Sandbox::User "";
		APT::Architecture "$(dpkg --print-architecture)";
		APT::Install-Recommends "false";
		Acquire::Languages "none";
		Acquire::Check-Valid-Until "false"; // a local mirror may lag; signatures are checked all the same
	EOF
} >"$work/apt.conf"
export APT_CONFIG="$work/apt.conf"

say "getting $package from $mirror $suite"
apt-get -qq update >&2 || die "cannot read $mirror $suite"
apt-get -qq install --yes --download-only "$package" >&2 || die "cannot download $package"
for deb in "$work"/cache/archives/*.deb; do
	dpkg-deb -x "$deb" "$work/root"
done

loader=$(find "$work/root/usr/lib" "$work/root/lib" -name 'ld-linux*.so.*' 2>/dev/null | head -n 1)
libs=$(dirname "$(find "$work/root/usr/lib" "$work/root/lib" -name 'libc.so.6' 2>/dev/null | head -n 1)")
[ -n "$loader" ] && [ -x "$work/root/usr/bin/bitcoind" ] || die "the packages hold no bitcoind that can be run"

# The unpacked tree moves into place under a name of its own, then the wrapper changes over to it in one step: a
# second run at the same time does no harm.
name=root.$(basename "$work")
touch "$work/root"
mv "$work/root" "$dir/$name"
cat >"$work/bitcoind" <<EOF
#!/bin/sh
root='$dir/$name'
exec "\$root${loader#"$work/root"}" --library-path "\$root${libs#"$work/root"}" "\$root/usr/bin/bitcoind" "\$@"
EOF
chmod +x "$work/bitcoind"
mv "$work/bitcoind" "$bin"
ready || die "$bin does not run"
find "$dir" -maxdepth 1 -name 'root.*' ! -name "$name" -mtime +1 -exec rm -rf {} + # of earlier versions
say "$("$bin" --version | head -n 1)"
echo "$bin"
