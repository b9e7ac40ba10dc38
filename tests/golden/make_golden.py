#!/usr/bin/env python3
"""Makes the reference tensors that the tests read: tiny random models run by transformers, PEFT and bitsandbytes.

    python3 -m venv venv && venv/bin/pip install torch transformers peft bitsandbytes safetensors
    venv/bin/python tests/golden/make_golden.py

Only this script knows PyTorch; the tests read the files it writes.
"""
import json
import pathlib

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

HERE = pathlib.Path(__file__).parent
ROWS = [[3, 17, 90, 4, 41, 7, 7, 120, 64, 2, 33], [5, 99, 1, 0, 77, 23, 54], [11, 12, 13]]


def tiny_llama(name, **changes):
    """A two-layer Llama with a LoRA adapter on every projection: logits, losses and adapter gradients, all f32."""
    torch.manual_seed(7)
    settings = dict(vocab_size=130, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=6,
                    num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5, rope_theta=10000.0,
                    tie_word_embeddings=False, attention_bias=False, mlp_bias=False)
    settings.update(changes)
    model = LlamaForCausalLM(LlamaConfig(**settings)).float().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * (0.2 if parameter.dim() > 1 else 0.1) +
                            (1 if parameter.dim() == 1 else 0))
    folder = HERE / name
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    out = {}
    for i, row in enumerate(ROWS):
        out[f"base_logits.{i}"] = model(torch.tensor([row])).logits[0]
    peft = get_peft_model(model, LoraConfig(r=4, lora_alpha=6, target_modules="all-linear", task_type="CAUSAL_LM"))
    with torch.no_grad():
        for key, parameter in peft.named_parameters():
            if "lora_" in key:
                parameter.copy_(torch.randn_like(parameter) * 0.1)
    peft.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink(missing_ok=True)
    nats = 0
    for i, row in enumerate(ROWS):
        logits = peft(torch.tensor([row])).logits[0]
        out[f"adapted_logits.{i}"] = logits
        # The first row trains on every token, the others on their last three.
        trained = list(range(1, len(row))) if i == 0 else list(range(max(1, len(row) - 3), len(row)))
        targets = torch.tensor([row[t] for t in trained])
        losses = torch.nn.functional.cross_entropy(logits[[t - 1 for t in trained]], targets, reduction="none")
        out[f"losses.{i}"] = losses
        nats = nats + losses.sum()
    nats.backward()
    for key, parameter in peft.named_parameters():
        if parameter.grad is not None:
            out["grad." + key.replace("base_model.model.", "").replace(".default", "")] = parameter.grad
    save_file({k: v.detach().contiguous() for k, v in out.items()}, folder / "golden.safetensors")


def nf4():
    """bitsandbytes' CPU quantisation of a matrix with awkward values, and what it dequantises to."""
    import bitsandbytes.functional as bnb

    torch.manual_seed(11)
    weights = torch.randn(96, 200) * 0.05
    weights[3, :] = 0
    weights[5, 7] = 4.0
    codes, state = bnb.quantize_4bit(weights, blocksize=64, compress_statistics=True, quant_type="nf4",
                                     quant_storage=torch.uint8)
    save_file({
        "weights": weights,
        "codes": codes.flatten(),
        "scale_codes": state.absmax.flatten(),
        "scale_scales": state.state2.absmax,
        "scale_map": state.state2.code,
        "scale_offset": state.offset.reshape(1),
        "dequantized": bnb.dequantize_4bit(codes, state),
    }, HERE / "nf4.safetensors")


if __name__ == "__main__":
    tiny_llama("llama")
    tiny_llama("llama_tied_scaled", tie_word_embeddings=True, attention_bias=True, mlp_bias=True, head_dim=16,
               num_attention_heads=4, num_key_value_heads=4,
               rope_parameters=dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0,
                                    high_freq_factor=4.0, original_max_position_embeddings=16))
    nf4()
    print(json.dumps({p.name: p.stat().st_size for p in sorted(HERE.rglob("*")) if p.is_file()}, indent=1))
