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
from transformers import (AutoModelForSequenceClassification, LlamaConfig, LlamaForCausalLM,
                          get_linear_schedule_with_warmup)

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
    adapter_golden(model, folder)


def adapter_golden(model, folder, target_modules="all-linear"):
    """What the model gives for ROWS, alone and with a random adapter on every projection, and the adapter's gradients."""
    out = {}
    for i, row in enumerate(ROWS):
        out[f"base_logits.{i}"] = model(torch.tensor([row])).logits[0]
    peft = get_peft_model(model, LoraConfig(r=4, lora_alpha=6, target_modules=target_modules, task_type="CAUSAL_LM"))
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


def classifier():
    """The tiny Llama with a score head: scores, weighted and smoothed losses, every gradient, and 40 training steps."""
    torch.manual_seed(13)
    # num_labels exceeds the classes present, as in the Chatbot Arena notebook.
    model = AutoModelForSequenceClassification.from_pretrained(HERE / "llama", num_labels=4, dtype=torch.float32)
    model.config.pad_token_id = 129  # transformers finds the last token by this id: no row ends in it
    peft = get_peft_model(model, LoraConfig(r=4, lora_alpha=6, target_modules="all-linear", task_type="SEQ_CLS"))
    peft.eval()
    with torch.no_grad():
        for key, parameter in peft.named_parameters():
            if "lora_" in key:
                parameter.copy_(torch.randn_like(parameter) * 0.1)
            elif parameter.requires_grad:
                parameter.copy_(torch.randn_like(parameter) * 0.2)
    folder = HERE / "llama_classifier"
    peft.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter" / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "llama"
    (folder / "adapter" / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")

    weights = torch.tensor([0.5, 1.25, 2.0, 1.0])
    generator = torch.Generator().manual_seed(17)
    rows = [torch.randint(0, 129, (length,), generator=generator) for length in (9, 4, 13, 1, 7, 11, 6, 10, 3, 8, 5, 12)]
    labels = torch.tensor([0, 2, 1, 1, 0, 0, 2, 1, 0, 2, 0, 1])
    out = {"weights": weights, "labels": labels.int()}
    for i, row in enumerate(rows):
        out[f"ids.{i}"] = row.int()

    def scores(picked):
        """Right-padded, as a data collator does it."""
        longest = max(len(rows[i]) for i in picked)
        ids = torch.full((len(picked), longest), 129)
        mask = torch.zeros_like(ids)
        for j, i in enumerate(picked):
            ids[j, : len(rows[i])] = rows[i]
            mask[j, : len(rows[i])] = 1
        return peft(ids, attention_mask=mask).logits

    def name(key):
        return key.replace("base_model.model.", "").replace(".default", "").replace("modules_to_save.", "")

    everything = range(len(rows))
    out["scores"] = scores(everything)
    for case, smoothing in (("weighted", 0.0), ("smoothed", 0.1)):
        peft.zero_grad()
        loss = torch.nn.functional.cross_entropy(scores(everything), labels, weight=weights, label_smoothing=smoothing)
        loss.backward()
        out[f"loss.{case}"] = loss.reshape(1)
        for key, parameter in peft.named_parameters():
            if parameter.grad is not None and (case == "weighted" or "score" in key):
                out[f"grad.{case}.{name(key)}"] = parameter.grad.clone()

    # Rows in order, 2 a micro-batch, 2 micro-batches a step; warm-up, decay to zero, clipping. The loss of a step is
    # divided once, by the sum of its class weights.
    trained = [p for p in peft.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=3e-3, weight_decay=0.05)
    schedule = get_linear_schedule_with_warmup(optimizer, 5, 40)
    losses, norms = [], []
    for step in range(40):
        micro = [[(4 * step + 2 * part + j) % len(rows) for j in range(2)] for part in range(2)]
        share = sum(weights[labels[picked]].sum() for picked in micro)
        optimizer.zero_grad()
        total = 0
        for picked in micro:
            loss = torch.nn.functional.cross_entropy(scores(picked), labels[picked], weight=weights,
                                                     reduction="sum") / share
            loss.backward()
            total += loss.item()
        norms.append(torch.nn.utils.clip_grad_norm_(trained, 0.5).item())
        losses.append(total)
        optimizer.step()
        schedule.step()
    out["trajectory.losses"] = torch.tensor(losses)
    out["trajectory.norms"] = torch.tensor(norms)
    out["trajectory.score"] = dict(peft.named_parameters())["base_model.model.score.modules_to_save.default.weight"]
    print(losses[::4], norms[::4])
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
    classifier()
    nf4()
    print(json.dumps({p.name: p.stat().st_size for p in sorted(HERE.rglob("*")) if p.is_file()}, indent=1))
