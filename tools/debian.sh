#!/bin/sh
# Makes sure that Debian's packages are on this machine: tools/debian.sh WHAT-FOR PACKAGE…
set -eu

what=$1
shift
missing=
for package in "$@"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
    missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "$what: installing$missing" >&2
[ "$(id -u)" = 0 ] || { echo "$what: run as root, or install these first:$missing" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
# Programs are wanted, not services: what a package would start stays stopped.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi
apt-get update -qq
# shellcheck disable=SC2086 # a list of names
apt-get install -y -qq --no-install-recommends $missing >/dev/null
