#!/usr/bin/env python3
"""Makes the references for quantised folders, LoRA variants and optimizers: tiny models run by transformers, PEFT,
bitsandbytes and torch. Run make_golden.py first: the models are its.

    python3 -m venv venv && venv/bin/pip install torch transformers peft bitsandbytes safetensors
    venv/bin/python tests/golden/make_adapters.py
"""
import json
import pathlib

import bitsandbytes
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

HERE = pathlib.Path(__file__).parent
ROWS = [[3, 17, 90, 4, 41, 7, 7, 120, 64, 2, 33], [5, 99, 1, 0, 77, 23, 54], [11, 12, 13]]


def dequantized(weight):
    """What a Params4bit stands for, f32. bitsandbytes' AVX-512 code is wrong where rows are not whole blocks (0.50.2)."""
    state = weight.quant_state
    scales = state.absmax.float()
    if state.nested:
        scales = bitsandbytes.functional.dequantize_blockwise(state.absmax, state.state2) + state.offset
    packed = weight.data.view(torch.uint8).flatten()
    codes = torch.stack([packed >> 4, packed & 15], 1).flatten().long()
    return (state.code[codes].reshape(-1, state.blocksize) * scales.reshape(-1, 1)).reshape(state.shape)


def expand(model):
    """Linear layers with the dequantised weights: bitsandbytes' own products on the CPU are in bf16."""
    for name, module in list(model.named_modules()):
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            linear = torch.nn.Linear(module.in_features, module.out_features, bias=module.bias is not None)
            linear.weight.data = dequantized(module.weight)
            if module.bias is not None:
                linear.bias.data = module.bias.data
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, linear)


def prequantised(name, **settings):
    """The tiny llama as transformers and bitsandbytes store it in NF4, and its logits in f32."""
    folder = HERE / name
    model = AutoModelForCausalLM.from_pretrained(
        HERE / "llama", dtype=torch.float32,
        quantization_config=BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", **settings))
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    expand(model)
    with torch.no_grad():
        save_file({f"base_logits.{i}": model(torch.tensor([row])).logits[0].contiguous() for i, row in enumerate(ROWS)},
                  folder / "golden.safetensors")


if __name__ == "__main__":
    prequantised("llama_nf4", bnb_4bit_use_double_quant=True)
    prequantised("llama_nf4_single", bnb_4bit_use_double_quant=False, bnb_4bit_quant_storage=torch.float32)
    print(json.dumps({p.name: p.stat().st_size for p in sorted(HERE.rglob("*")) if p.is_file()}, indent=1))
