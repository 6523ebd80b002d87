#!/bin/sh
# Makes sure that Chromium, fonts to read and pngquant are here, from Debian's packages, for
# `make test-browser` and `make pictures`. Playwright's own browsers are downloads past every lock.
set -eu

packages='chromium fonts-dejavu-core fonts-liberation fonts-noto-color-emoji pngquant'

missing=
for package in $packages; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
    missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "browser: installing$missing" >&2
[ "$(id -u)" = 0 ] || { echo "browser: run as root, or install these first:$missing" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # a list of names
apt-get install -y -qq --no-install-recommends $missing >/dev/null
