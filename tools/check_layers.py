#!/usr/bin/env python3
"""Fails if a room of src/ includes a room that it may not, or if CUDA headers leave .cu and .cuh files.

The table is the architecture: each room, and the rooms that it may include besides itself."""
import pathlib
import re
import sys

MAY_INCLUDE = {
    "base": "",
    "tensor": "base", "text": "base", "metrics": "base",
    "testing": "base tensor text",
    "ops": "base tensor", "io": "base tensor", "dist": "base tensor",
    "nn": "base tensor ops",
    "data": "base text",
    "models": "base tensor ops nn io",
    "generate": "base tensor ops nn models text",
    "train": "base tensor ops nn models data dist io metrics text generate",
    "serve": "base text generate",
    # jobs needs ops for one thing: quantize writes the constants of the NF4 format.
    "jobs": "base tensor ops nn models train generate serve data dist io metrics text",
    "cli": "base jobs",
}

problems = []
for file in sorted(f for f in pathlib.Path("src").rglob("*") if f.suffix in {".h", ".cpp", ".cu", ".cuh"}):
    room, text = file.parts[1], file.read_text()
    if room not in MAY_INCLUDE:
        problems.append(f"{file}:1: {room} is no room of tools/check_layers.py")
        continue
    allowed = {room, *MAY_INCLUDE[room].split()}
    if file.stem.endswith(("_test", "_fuzz")):
        allowed.add("testing")
    for include in re.finditer(r'^#include "(\w+)/', text, re.MULTILINE):
        if include[1] in MAY_INCLUDE and include[1] not in allowed:
            line = text[: include.start()].count("\n") + 1
            problems.append(f"{file}:{line}: {room} may not include {include[1]}")
    if file.suffix in {".h", ".cpp"} and re.search(r"#include <(cuda|cublas|cudnn|nccl|cub/)", text):
        problems.append(f"{file}: CUDA headers belong in .cu and .cuh files")
print("\n".join(problems) or "layers ok")
sys.exit(bool(problems))
