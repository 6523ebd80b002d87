#!/usr/bin/env bash
# Builds the image with a Docker engine of its own, and sees a whole transfer through with it.
#
# By default nothing is pulled: for the image that the Dockerfile begins with stands Debian 12, whose Python is of the
# same minor version. PULL=1 takes the real one, from its registry. Needs root, Debian and about a minute and a half.
set -euo pipefail
cd "$(dirname "$0")/.."

no() { echo "image: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || no "run as root: it starts a Docker engine of its own"
command -v apt-get >/dev/null || no "needs Debian: the engine is its docker.io"
tools/debian.sh image docker.io mmdebstrap

# Debian's own client can build by itself; others want a plugin for that.
docker=/usr/bin/docker
folder=$(mktemp -d -t image-XXXXXX)
export DOCKER_HOST=unix://$folder/socket DOCKER_BUILDKIT=1 DOCKER_CONFIG=$folder/config
engine=

# shellcheck disable=SC2317 # called by the trap
end() {
  trap '' INT TERM
  if [ -n "$engine" ]; then
    # shellcheck disable=SC2046 # a list of ids
    timeout 60 "$docker" rm --force $(timeout 20 "$docker" ps --quiet --all) >/dev/null 2>&1 || true
    kill "$engine" 2>/dev/null || true
    for _ in {1..150}; do
      kill -0 "$engine" 2>/dev/null || break
      sleep 0.2
    done
    kill -KILL -- "-$engine" 2>/dev/null || true # what it started is of its group
  fi
  # An engine leaves its network namespace mounted, and more where it was killed.
  awk -v under="$folder/" 'index($2, under) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount --lazy
  rm -rf "$folder"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

began=$SECONDS
set -m # a process group of its own
dockerd --data-root "$folder/data" --exec-root "$folder/run" --host "$DOCKER_HOST" --pidfile "$folder/pid" \
  --iptables=false --bridge=none --log-level error >"$folder/engine.log" 2>&1 &
engine=$!
set +m
until timeout 5 "$docker" version >/dev/null 2>&1; do
  kill -0 "$engine" 2>/dev/null || no "no engine can run here: $(tail -n 1 "$folder/engine.log")"
  [ $((SECONDS - began)) -lt 60 ] || no "the engine does not answer: $(tail -n 1 "$folder/engine.log")"
  sleep 0.2
done

base=$(awk '$1 == "FROM" { print $2; exit }' Dockerfile)
if [ -n "${PULL:-}" ]; then
  echo "image: pulling $base"
  timeout --foreground 300 "$docker" pull --quiet "$base" >/dev/null || no "$base cannot be pulled; without PULL=1 Debian stands in for it"
else
  echo "image: making $base out of Debian's packages"
  # From where this machine has its own packages, if it says so.
  # shellcheck disable=SC2016 # apt's own variables
  mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' |
    awk '$1 == "bookworm" && $2 == "main" { print $3; exit }')
  # Into /usr/local, where the real one has its Python.
  # shellcheck disable=SC2016 # mmdebstrap's own variable
  timeout --foreground 400 mmdebstrap --quiet --variant=minbase --include=python3-minimal,python3-venv,ca-certificates \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --customize-hook='chroot "$1" python3 -m venv /usr/local' \
    bookworm "$folder/base.tar" ${mirror:+"$mirror"} 2>"$folder/base.log" || no "Debian cannot be made: $(tail -n 1 "$folder/base.log")"
  "$docker" import "$folder/base.tar" "$base" >/dev/null
  rm "$folder/base.tar"
fi

echo "image: building, after $((SECONDS - began)) s"
# pip in there uses what pip here uses, as secrets of the build: an index, a proxy, a certificate.
{
  echo "[global]"
  .venv/bin/python -m pip config list |
    sed -n "s/^\(global\|:env:\)\.\(index-url\|proxy\|trusted-host\|default-timeout\)='\(.*\)'$/\2 = \3/p" | tac | sort -u -t= -k1,1
  echo "cert = /run/secrets/ca.crt"
} >"$folder/pip.conf"
authorities=${PIP_CERT:-${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}}
timeout --foreground 400 "$docker" build --quiet --network=host --tag customer-transfer \
  --secret "id=pip.conf,src=$folder/pip.conf" --secret "id=ca.crt,src=$authorities" . >/dev/null 2>"$folder/build.log" ||
  { tail -n 25 "$folder/build.log" >&2; no "it cannot be built"; }

echo "image: running, after $((SECONDS - began)) s"
.venv/bin/python tools/image.py "$docker" customer-transfer
echo "image: all good, after $((SECONDS - began)) s"
