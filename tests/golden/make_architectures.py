#!/usr/bin/env python3
"""Makes the reference tensors of the architectures beside Llama: tiny random models as transformers runs them, from a
Hugging Face folder and, where llama.cpp knows the family, a GGUF file of the same values.

    venv/bin/pip install gguf
    venv/bin/python tests/golden/make_architectures.py [name ...]

Weights are multiples of 1/256 below 1, which bf16 and f16 both hold exactly.
"""
import copy
import json
import math
import sys

import gguf
import torch
import transformers
from make_golden import HERE, adapter_golden
from safetensors.torch import save_file
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

SIZES = dict(vocab_size=130, hidden_size=48, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5)


def no_keys(writer, config):
    pass


def head_size_keys(writer, config):
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)


def gemma2_keys(writer, config):
    head_size_keys(writer, config)
    writer.add_sliding_window(config.sliding_window)
    writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
    writer.add_final_logit_softcapping(config.final_logit_softcapping)


def gemma3_keys(writer, config):
    head_size_keys(writer, config)
    writer.add_sliding_window(config.sliding_window)


def phi3_keys(writer, config):
    writer.add_sliding_window(config.sliding_window)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)


def long_phi3_keys(writer, config):
    writer.add_rope_dimension_count(int(config.hidden_size // config.num_attention_heads * 0.75))
    original = config.rope_parameters["original_max_position_embeddings"]
    stretch = config.max_position_embeddings / original
    writer.add_rope_scaling_orig_ctx_len(original)
    writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(stretch) / math.log(original)))
    for reach in ("long", "short"):
        writer.add_tensor(f"rope_factors_{reach}.weight",
                          torch.tensor(config.rope_parameters[f"{reach}_factor"]).numpy())


# Rows up to 8 tokens and longer ones are turned by other tables, three quarters of each head.
LONG_ROPE = dict(rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.75, original_max_position_embeddings=8,
                 short_factor=[1.0, 1.05, 1.1, 1.25, 1.5, 1.75], long_factor=[1.0, 1.5, 2.5, 4.0, 6.5, 8.0])

# An image encoder that nothing reads.
IMAGES = dict(vision_config=dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                                 image_size=8, patch_size=4),
              mm_tokens_per_image=1, image_token_index=128, boi_token_index=126, eoi_token_index=127)

# Enough layers for one of another kind among them.
DEEP = dict(hidden_size=32, intermediate_size=32, num_key_value_heads=1, head_dim=8)


# name: transformers' class, what differs from SIZES, what norm weights are centred on there; llama.cpp's name and keys.
MODELS = {
    # 8 is head_dim: what llama.cpp divides scores by where a file cannot say it.
    "gemma2": ("Gemma2", dict(head_dim=8, query_pre_attn_scalar=8, sliding_window=5, attn_logit_softcapping=2.0,
                              final_logit_softcapping=3.0), 0, gguf.MODEL_ARCH.GEMMA2, gemma2_keys),
    "qwen3": ("Qwen3", dict(head_dim=16), 1, gguf.MODEL_ARCH.QWEN3, head_size_keys),
    # Windows from layer 1 on; llama.cpp runs such files without, so they are not compared.
    "qwen2": ("Qwen2", dict(use_sliding_window=True, sliding_window=5, max_window_layers=1), 1, None, None),
    "qwen2_tied": ("Qwen2", dict(tie_word_embeddings=True), 1, gguf.MODEL_ARCH.QWEN2, no_keys),
    "mistral": ("Mistral", dict(sliding_window=5, head_dim=16), 1, None, None),
    "gemma3": ("Gemma3Text", dict(DEEP, num_hidden_layers=7, query_pre_attn_scalar=8, sliding_window=5), 0,
               gguf.MODEL_ARCH.GEMMA3, gemma3_keys),
    "smollm3": ("SmolLM3", dict(DEEP, num_hidden_layers=5, pad_token_id=0), 1, gguf.MODEL_ARCH.SMOLLM3, head_size_keys),
    "phi3": ("Phi3", dict(sliding_window=5, pad_token_id=0, bos_token_id=1, eos_token_id=2), 1, gguf.MODEL_ARCH.PHI3,
             phi3_keys),
    "yarn": ("Llama", dict(tie_word_embeddings=True,
                           rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0,
                                                original_max_position_embeddings=8)), 1, None, None),
    "phi3_long": ("Phi3", dict(hidden_size=64, num_hidden_layers=2, max_position_embeddings=64,
                               original_max_position_embeddings=8, rope_parameters=LONG_ROPE, pad_token_id=0,
                               bos_token_id=1, eos_token_id=2), 1, gguf.MODEL_ARCH.PHI3, long_phi3_keys),
    "gemma3_images": ("Gemma3", dict(DEEP, num_hidden_layers=2, query_pre_attn_scalar=8, sliding_window=5,
                                     layer_types=["sliding_attention", "full_attention"]), 0, None, None),
    "gemma": ("Gemma", dict(head_dim=16), 0, gguf.MODEL_ARCH.GEMMA, head_size_keys),
}


def on_grid(values):
    return (values * 256).round().clamp(-255, 255) / 256


def write_gguf(model, path, arch, norm_centre, family_keys):
    """As llama.cpp's convert_hf_to_gguf.py writes it."""
    config = model.config
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[arch])
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    rope = config.rope_parameters
    writer.add_rope_freq_base(rope.get("full_attention", rope)["rope_theta"])
    family_keys(writer, config)
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    for key, value in model.state_dict().items():
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if key.endswith("norm.weight"):
            value = value + (1 - norm_centre)
        if arch == gguf.MODEL_ARCH.SMOLLM3 and key.endswith(("q_proj.weight", "k_proj.weight")):
            # Llama's converter lays the halves of a head row by row.
            value = value.reshape(-1, 2, config.head_dim // 2, value.shape[1]).swapaxes(1, 2).reshape(value.shape)
        data = value.float().numpy()
        writer.add_tensor(names.get_name(key, try_suffixes=(".weight", ".bias")),
                          data if data.ndim == 1 else data.astype("float16"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make(name):
    family, changes, norm_centre, arch, family_keys = MODELS[name]
    torch.manual_seed(23)
    sizes = copy.deepcopy({**SIZES, **changes})
    with_images = family == "Gemma3"
    config = getattr(transformers, family + "Config")(**(dict(IMAGES, text_config=sizes) if with_images else sizes))
    task = "ForConditionalGeneration" if with_images else "ForCausalLM"
    model = getattr(transformers, family.removesuffix("Text") + task)(config)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.copy_(on_grid(torch.randn_like(parameter) * 0.2))
            elif key.endswith("bias"):
                parameter.copy_(on_grid(torch.randn_like(parameter) * 0.2))
            else:  # a norm's weight; as 1 + w it is still a multiple of 1/128 below 2
                parameter.copy_((torch.randn_like(parameter) * 0.1 * 128).round() / 128 + norm_centre)
    folder = HERE / name
    model.bfloat16().save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if arch is not None:
        write_gguf(model, folder / "model.gguf", arch, norm_centre, family_keys)
    # Read again, since model.float() would leave rotary tables and the like rounded.
    model = type(model).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    model.name_or_path = name
    adapter_golden(model, folder, r".*language_model\..*_proj" if with_images else "all-linear")


# What models on the Hub say of rotary positions, in the words of transformers 4 and 5.
ROPES = {
    "plain_v4": dict(rope_theta=500000.0, rope_scaling=None),
    "plain_v5": dict(rope_parameters=dict(rope_type="default", rope_theta=500000.0)),
    "linear_v4": dict(rope_scaling=dict(type="linear", factor=2.5)),
    "linear_v5": dict(rope_parameters=dict(rope_type="linear", factor=2.5, rope_theta=20000.0)),
    "dynamic_v4": dict(rope_scaling=dict(type="dynamic", factor=2.0), max_position_embeddings=16),
    "dynamic_v5": dict(rope_parameters=dict(rope_type="dynamic", factor=2.0, rope_theta=20000.0),
                       max_position_embeddings=16),
    "dynamic_unstretched": dict(rope_scaling=dict(type="dynamic", factor=2.0), max_position_embeddings=64),
    "llama3_v4": dict(rope_theta=500000.0,
                      rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                        original_max_position_embeddings=16)),
    "yarn_v4": dict(rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=64)),
    "yarn_v5": dict(rope_parameters=dict(rope_type="yarn", factor=4.0, rope_theta=1000000.0, beta_fast=16.0,
                                         beta_slow=2.0, original_max_position_embeddings=64)),
    "yarn_untruncated": dict(rope_parameters=dict(rope_type="yarn", factor=4.0, rope_theta=10000.0, truncate=False,
                                                  original_max_position_embeddings=64)),
    "yarn_attention_factor": dict(rope_parameters=dict(rope_type="yarn", factor=4.0, rope_theta=10000.0,
                                                       attention_factor=1.3, original_max_position_embeddings=64)),
    "yarn_mscale": dict(rope_parameters=dict(rope_type="yarn", factor=4.0, rope_theta=10000.0, mscale=0.7,
                                             mscale_all_dim=0.4, original_max_position_embeddings=64)),
}


def ropes():
    """Cosines and sines of the first 40 positions, heads of 32."""
    folder = HERE / "rope"
    folder.mkdir(exist_ok=True)
    sizes = dict(architectures=["LlamaForCausalLM"], hidden_size=64, num_attention_heads=2, intermediate_size=64,
                 num_hidden_layers=1, vocab_size=130, max_position_embeddings=256)
    configs = {name: {**sizes, **changes} for name, changes in ROPES.items()}
    (folder / "configs.json").write_text(json.dumps(configs, indent=1) + "\n")
    out = {}
    for name, config in configs.items():
        rotary = LlamaRotaryEmbedding(transformers.LlamaConfig(**copy.deepcopy(config)))
        cosine, sine = rotary(torch.zeros(1), torch.arange(40)[None])
        out[f"{name}.cosine"], out[f"{name}.sine"] = cosine[0, :, :16], sine[0, :, :16]
    save_file({k: v.contiguous() for k, v in out.items()}, folder / "tables.safetensors")


if __name__ == "__main__":
    if not sys.argv[1:] or "rope" in sys.argv[1:]:
        ropes()
    for chosen in sys.argv[1:] or MODELS:
        if chosen != "rope":
            make(chosen)
