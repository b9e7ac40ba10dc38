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
from peft import LoraConfig, get_peft_model
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


def variant(name, base="llama_tied_scaled", **settings):
    """An adapter of PEFT on a tiny model: its logits, losses and every gradient."""
    torch.manual_seed(13)
    model = AutoModelForCausalLM.from_pretrained(HERE / base, dtype=torch.float32, attn_implementation="eager")
    peft = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **settings))
    with torch.no_grad():
        for key, parameter in peft.named_parameters():
            if parameter.requires_grad:
                noise = torch.randn_like(parameter) * 0.1
                parameter.copy_(noise if "lora_A" in key or "lora_B" in key else parameter + noise)
    folder = HERE / "variants" / name
    peft.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    config.update(base_model_name_or_path=base)
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()  # a set, in another order at every run
    if config["modules_to_save"]:
        # With ensure_weight_tying PEFT 0.21 adds the embedding's whole name at each save.
        config["modules_to_save"] = sorted(set(config["modules_to_save"]))
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    out, nats = {}, 0
    for i, row in enumerate(ROWS):
        logits = peft(torch.tensor([row])).logits[0]
        out[f"adapted_logits.{i}"] = logits
        nats = nats + torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(row[1:]), reduction="sum")
    nats.backward()
    out["nats"] = nats
    for key, parameter in peft.named_parameters():
        if parameter.grad is not None:
            key = key.replace("base_model.model.", "", 1).replace(".modules_to_save", "").replace(".default", "")
            out["grad." + key.replace("lora_magnitude_vector.weight", "lora_magnitude_vector")] = parameter.grad
    save_file({k: v.detach().contiguous() for k, v in out.items()}, folder / "golden.safetensors")


def adamw(steps=12):
    """One matrix under torch's AdamW and bitsandbytes' AdamW8bit, with the same gradients."""
    torch.manual_seed(17)
    start = torch.randn(17, 256)
    gradients = (torch.randn(steps, 17, 256) * 0.3 + 0.1) * torch.logspace(-4, 0, 17).reshape(17, 1)
    out = {"start": start, "gradients": gradients}
    for name, kind in {"torch": torch.optim.AdamW, "bitsandbytes": bitsandbytes.optim.AdamW8bit}.items():
        weight = torch.nn.Parameter(start.clone())
        optimizer = kind([weight], lr=1e-2, weight_decay=0.05)
        for gradient in gradients:
            weight.grad = gradient.clone()
            optimizer.step()
        out[name] = weight.detach()
    save_file({k: v.contiguous() for k, v in out.items()}, HERE / "adamw.safetensors")


if __name__ == "__main__":
    adamw()
    variant("dora", r=3, lora_alpha=5, use_dora=True, bias="all", target_modules="all-linear",
            exclude_modules=["layers.0.mlp.up_proj", "k_proj"],
            rank_pattern={"q_proj": 2, r"layers\.1\.mlp\.(gate|down)_proj": 5}, alpha_pattern={"down_proj": 2.5})
    variant("rslora", r=4, lora_alpha=3, use_rslora=True, bias="lora_only",
            target_modules=r".*layers\.\d+\.(self_attn\.[qv]_proj|mlp\.up_proj)", exclude_modules=r".*1\.mlp.*",
            rank_pattern={"v_proj": 1})
    variant("layers", base="llama", r=2, lora_alpha=3, target_modules=["q_proj", "down_proj"], layers_to_transform=1,
            layers_pattern="layers")
    variant("head", base="llama", r=2, lora_alpha=3, target_modules=["v_proj"], modules_to_save=["lm_head"])
    # Scaled embeddings and capped logits; the head and the embedding become two matrices.
    variant("untied", base="gemma2", r=2, lora_alpha=3, target_modules=["q_proj"],
            modules_to_save=["embed_tokens", "lm_head"])
    variant("tied", r=2, lora_alpha=3, target_modules=["q_proj"], modules_to_save=["lm_head"], ensure_weight_tying=True)
    prequantised("llama_nf4", bnb_4bit_use_double_quant=True)
    prequantised("llama_nf4_single", bnb_4bit_use_double_quant=False, bnb_4bit_quant_storage=torch.float32)
    print(json.dumps({p.name: p.stat().st_size for p in sorted(HERE.rglob("*")) if p.is_file()}, indent=1))
