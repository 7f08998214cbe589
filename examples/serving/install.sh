#!/bin/sh
# What `dagfm serve` needs and nothing else, torch left out, as a virtual environment: install.sh FOLDER; says its size.
set -eu
venv=$1
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

"${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/pip" install --quiet --no-cache-dir --constraint "$root/constraints.txt" setuptools -r "$here/requirements.txt"
# Without dependencies: the package asks for torch, which only training uses.
"$venv/bin/pip" install --quiet --no-cache-dir --no-deps --no-build-isolation "$root"
"$venv/bin/pip" uninstall --quiet --yes setuptools pip
du -sh "$venv"
