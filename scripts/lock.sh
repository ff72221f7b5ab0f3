#!/usr/bin/env bash
# Writes the hashed requirements: requirements/run.txt for running, requirements/compile.txt for compiling the data path,
# requirements/dev.txt for everything else on top, requirements/boto3.txt for an environment of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=$(mktemp -d)
trap 'rm -rf "$tool"' EXIT
python3 -m venv "$tool"
"$tool/bin/pip" install --quiet pip-tools
common=(--quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links
  --no-emit-trusted-host --no-header --upgrade)
"$tool/bin/pip-compile" "${common[@]}" --all-build-deps --output-file requirements/run.txt pyproject.toml
"$tool/bin/pip-compile" "${common[@]}" --extra test --extra check --constraint requirements/run.txt \
  --output-file requirements/dev.txt pyproject.toml
"$tool/bin/pip-compile" "${common[@]}" --constraint requirements/run.txt --constraint requirements/dev.txt \
  --output-file requirements/compile.txt requirements/compile.in
"$tool/bin/pip-compile" "${common[@]}" --output-file requirements/boto3.txt requirements/boto3.in
"$tool/bin/pip-compile" "${common[@]}" --extra pictures --constraint requirements/run.txt --constraint requirements/dev.txt \
  --output-file requirements/pictures.txt pyproject.toml
