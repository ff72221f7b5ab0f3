#!/usr/bin/env bash
# Installs the Debian packages of a purpose, if their commands are not there yet.
# usage: need-debian.sh venv|test|slow|transparency
set -euo pipefail

declare -A packages=() # command -> package
case ${1:-} in
  venv) packages=([_venv]=python3-venv) ;;
  test)
    packages=([curl]=curl [git]=git [haproxy]=haproxy [nghttp]=nghttp2-client [openssl]=openssl
      [redis-server]=redis-server [promtool]=prometheus)
    ;;
  slow)
    packages=([curl]=curl [git]=git [haproxy]=haproxy [nghttp]=nghttp2-client [node]=nodejs
      [redis-server]=redis-server [promtool]=prometheus [slowhttptest]=slowhttptest)
    ;;
  transparency)
    packages=([apache2]=apache2 [chromium]=chromium [curl]=curl [git]=git [litmus]=litmus [nginx]=nginx-light [node]=nodejs)
    ;;
  *)
    echo "usage: need-debian.sh venv|test|slow|transparency" >&2
    exit 2
    ;;
esac

missing=()
for command in "${!packages[@]}"; do
  PATH="$PATH:/usr/sbin:/sbin" command -v "$command" >/dev/null || missing+=("${packages[$command]}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "please install: ${missing[*]} (no apt-get here)" >&2
  exit 69
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || {
    echo "please install as root: apt-get install ${missing[*]}" >&2
    exit 69
  }
  as_root=(sudo)
fi
echo "installing ${missing[*]} …"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
# No server may be started by its package: ours run on ports of their own. Where nobody says so already, we do (101:
# not allowed), for as long as it takes.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" install -m 755 /dev/stdin "$policy"
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
