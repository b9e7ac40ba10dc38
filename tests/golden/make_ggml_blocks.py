#!/usr/bin/env python3
"""Makes ggml_blocks.safetensors: two blocks of every block format, and what gguf-py reads from them.

Needs: pip install gguf safetensors numpy
"""
import pathlib

import gguf
import numpy as np
from safetensors.numpy import save_file

# Where the f16 scales of a block lie; Q8_K has an f32 scale.
SCALES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "Q8_K": []}
random = np.random.default_rng(1)
tensors = {}
for name, scales in SCALES.items():
    kind = gguf.GGMLQuantizationType[name]
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (2, size), dtype=np.uint8)
    for at in scales:
        blocks[:, at:at + 2] = random.normal(0, 0.1, 2).astype(np.float16).view(np.uint8).reshape(2, 2)
    if name == "Q8_K":
        blocks[:, :4] = random.normal(0, 0.1, 2).astype(np.float32).view(np.uint8).reshape(2, 4)
        values = blocks[:, :4].copy().view(np.float32) * blocks[:, 4:260].copy().view(np.int8).astype(np.float32)
    else:
        values = gguf.quants.dequantize(blocks, kind)
    tensors[name + ".blocks"] = blocks
    tensors[name + ".values"] = values.reshape(2, elements).astype(np.float32)
save_file(tensors, pathlib.Path(__file__).with_name("ggml_blocks.safetensors"), {"format": "pt"})
