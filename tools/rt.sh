#!/bin/sh
# Makes sure that Request Tracker 5 is on this machine, from Debian's packages, for `make test-rt`.
# Only programs: each test session makes a private instance of its own, on a database of its own.
set -eu

packages='request-tracker5 rt5-db-sqlite rt5-standalone rt5-clients dbconfig-no-thanks msmtp-mta'

missing=
for package in $packages; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
    missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "rt: installing$missing" >&2
[ "$(id -u)" = 0 ] || { echo "rt: run as root, or install these first:$missing" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # a list of names
apt-get install -y -qq --no-install-recommends $missing >/dev/null
