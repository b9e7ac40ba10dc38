#!/usr/bin/env bash
# Puts the header-only cuDNN frontend, which CUDA builds need, into build-headers/include: carried inside a PyPI wheel, of
# which nothing is run or imported.
set -euo pipefail
cd "$(dirname "$0")/.."

version=1.32.0
target=build-headers
if grep -qs "$version" "$target/version"; then exit 0; fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
echo "Fetching the cuDNN frontend $version (11 MB) ..." >&2
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$scratch" "nvidia-cudnn-frontend==$version"
unzip -q -o "$scratch"/nvidia_cudnn_frontend-*.whl 'include/*' -d "$scratch/wheel"
rm -rf "$target"
mkdir -p "$target"
mv "$scratch/wheel/include" "$target/include"
echo "$version" > "$target/version"
