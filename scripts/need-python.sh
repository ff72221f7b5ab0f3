#!/usr/bin/env bash
# Makes the virtual environment, and says what to install where that cannot be done.
set -euo pipefail
python=$1
venv=$2
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "sidegate needs Python 3.11 or newer as \`$python\`; name another one: make PYTHON=python3.12 …" >&2
  exit 78
fi
[ -x "$venv/bin/python" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1 && exit 0
if ! "$python" -m venv "$venv" >/dev/null 2>&1; then
  # Debian keeps venv in a package of its own.
  bash "$(dirname "$0")/need-debian.sh" venv
  rm -rf "$venv"
  "$python" -m venv "$venv"
fi
