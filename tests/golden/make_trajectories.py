#!/usr/bin/env python3
"""Makes the reference runs: tiny models in NF4 trained by the transformers Trainer with PEFT and bitsandbytes on the CPU,
step by step, from a committed adapter.

    venv/bin/pip install torch transformers peft bitsandbytes safetensors
    venv/bin/python tests/golden/make_trajectories.py [NAME ...]             # writes trajectory_NAME, by default each
    venv/bin/python tests/golden/make_trajectories.py --adapters build/elenchus  # our adapter in PEFT: our logits and PEFT's

A folder holds the model with its tokenizer, the adapter to start from, the rows, the recipe, and what the Trainer
logged at each step.
"""
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from safetensors.torch import load_file, save_file
from transformers import (AutoModelForCausalLM, BitsAndBytesConfig, Gemma2Config, LlamaConfig, PreTrainedTokenizerFast,
                          Trainer, TrainingArguments)

HERE = pathlib.Path(__file__).parent
sys.path.append(str(HERE.parent / "end_to_end"))
from tiny_run import write_tokenizer  # every byte a token, and two markers

# Rows of whole blocks of 64: bitsandbytes 0.50.2 expands others wrongly on the CPU (a 32 x 32 weight comes back 37% off).
SIZES = dict(vocab_size=258, hidden_size=64, intermediate_size=64, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=256, pad_token_id=257, eos_token_id=257, bos_token_id=None)
LLAMA = LlamaConfig(**SIZES, num_hidden_layers=2, rms_norm_eps=1e-5)
# Each with a max_grad_norm about which its gradients' norms lie, so that some steps are clipped and some are not.
MODELS = {
    "llama": (LLAMA, 1.3),
    "gemma2": (Gemma2Config(**SIZES, num_hidden_layers=3, head_dim=16, query_pre_attn_scalar=16, sliding_window=24,
                            attn_logit_softcapping=3.0, final_logit_softcapping=6.0), 0.5),
    "whole": (LLAMA, 1.3),
    "loraplus": (LLAMA, 1.3),
}
# What some add to LORA, and their epochs. They train the model of "llama", on its rows.
CHANGES = {"whole": dict(modules_to_save=["embed_tokens", "lm_head"]),
           "loraplus": dict(use_dora=True, modules_to_save=["lm_head"])}
LORAPLUS_RATIO = {"loraplus": 8.0}
# 20 whole steps of 4 micro-batches of 2 rows an epoch, and one of a whole micro-batch and a short one.
ROWS, EPOCHS = 163, 3
TRAINING = dict(num_train_epochs=EPOCHS, per_device_train_batch_size=2, gradient_accumulation_steps=4, learning_rate=0.02,
                weight_decay=0.01, lr_scheduler_type="cosine_with_restarts",
                lr_scheduler_kwargs={"num_cycles": 2}, warmup_steps=7, logging_steps=1, save_strategy="no", seed=5)
LORA = dict(r=4, lora_alpha=8, lora_dropout=0.0, bias="none")


def write_rows(path):
    draw = random.Random(3)
    words = ["virtue", "what", "you", "know", "then", "tell", "me", "is", "good", "said", "Meno", "why"]
    say = lambda most: " ".join(draw.choice(words) for _ in range(draw.randint(1, most)))
    with open(path, "w") as file:
        for _ in range(ROWS):
            file.write(json.dumps({"messages": [{"role": "user", "content": say(6)},
                                                {"role": "assistant", "content": say(9) + "?"}]}) + "\n")


def tokenized(tokenizer, row):
    """The row's ids, and as labels those of all that its last message renders to."""
    render = lambda messages, **more: tokenizer.apply_chat_template(messages, tokenize=False, **more)
    encode = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]
    ids = encode(render(row["messages"]))
    before = encode(render(row["messages"][:-1], add_generation_prompt=True))
    assert ids[:len(before)] == before
    return {"input_ids": ids, "labels": [-100] * len(before) + ids[len(before):]}


def padded(rows):
    longest = max(len(row["input_ids"]) for row in rows)
    fill = lambda values, with_: torch.tensor([v + [with_] * (longest - len(v)) for v in values])
    return {"input_ids": fill([r["input_ids"] for r in rows], 257),
            "attention_mask": fill([[1] * len(r["input_ids"]) for r in rows], 0),
            "labels": fill([r["labels"] for r in rows], -100)}


def quantised(model_folder):
    settings = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                                  bnb_4bit_compute_dtype=torch.float32)
    return AutoModelForCausalLM.from_pretrained(model_folder, quantization_config=settings, dtype=torch.float32,
                                                device_map={"": "cpu"}, attn_implementation="eager")


def write_recipe(folder, lora, training):
    shared = "../trajectory_llama/" if folder.name.removeprefix("trajectory_") in CHANGES else ""
    recipe = {"model": {"model_name_or_path": shared + "model", "device": "cpu"},
              "quantization": {"load_in_4bit": True},
              "lora": {**lora, "target_modules": ["all-linear"], "init_from": "start"},
              "data": {"train_file": shared + "rows.jsonl", "train_fraction": 1, "sampling": "sequential",
                       "format": "messages"},
              "training": {**training, "output_dir": "output"}}
    (folder / "recipe.yaml").write_text(json.dumps(recipe, indent=1) + "\n")


def randomise(model):
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            centre = 1 - ("Gemma" in type(model).__name__) if parameter.dim() == 1 else 0
            parameter.copy_((torch.randn_like(parameter) * (0.2 if parameter.dim() > 1 else 0.1) + centre).bfloat16())


def write_model(folder, config):
    (folder / "model").mkdir(parents=True, exist_ok=True)
    torch.manual_seed(11)
    model = AutoModelForCausalLM.from_config(config).float()
    randomise(model)
    model.bfloat16().save_pretrained(folder / "model")
    (folder / "model" / "generation_config.json").unlink(missing_ok=True)
    write_tokenizer(folder / "model")
    write_rows(folder / "rows.jsonl")


def optimizer(name, model):
    """LoRA+'s, or None: the Trainer's own."""
    if name not in LORAPLUS_RATIO:
        return None
    return create_loraplus_optimizer(model, torch.optim.AdamW, lr=TRAINING["learning_rate"],
                                     loraplus_lr_ratio=LORAPLUS_RATIO[name],
                                     loraplus_weight_decay=TRAINING["weight_decay"])


def make(name):
    folder = HERE / f"trajectory_{name}"
    config, max_grad_norm = MODELS[name]
    training = {**TRAINING, "max_grad_norm": max_grad_norm}
    lora = {**LORA, **CHANGES.get(name, {})}
    shared = HERE / "trajectory_llama" if name in CHANGES else folder
    if name in CHANGES:
        folder.mkdir(exist_ok=True)
        training["num_train_epochs"] = 1
    else:
        write_model(folder, config)
    ratio = {"loraplus_lr_ratio": LORAPLUS_RATIO[name]} if name in LORAPLUS_RATIO else {}
    write_recipe(folder, {**lora, **ratio}, training)
    torch.manual_seed(11)
    base = quantised(shared / "model")
    base.name_or_path = "model"
    peft = get_peft_model(base, LoraConfig(**lora, target_modules="all-linear", task_type="CAUSAL_LM"))
    peft.save_pretrained(folder / "start")
    (folder / "start" / "README.md").unlink(missing_ok=True)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(shared / "model")
    rows = [tokenized(tokenizer, json.loads(line)) for line in (shared / "rows.jsonl").read_text().splitlines()]
    with tempfile.TemporaryDirectory() as output:
        arguments = TrainingArguments(**training, output_dir=output, use_cpu=True, report_to=[], optim="adamw_torch",
                                      train_sampling_strategy="sequential", remove_unused_columns=False,
                                      gradient_checkpointing=False, disable_tqdm=True)
        trainer = Trainer(model=peft, args=arguments, train_dataset=rows, data_collator=padded,
                          optimizers=(optimizer(name, peft), None))
        trainer.train()
    steps = [{k: log[k] for k in ("step", "loss", "grad_norm", "learning_rate")}
             for log in trainer.state.log_history if "grad_norm" in log]
    clipped = sum(s["grad_norm"] > max_grad_norm for s in steps)
    print(name, len(steps), "steps,", clipped, "clipped, loss", steps[0]["loss"], "->", steps[-1]["loss"])
    (folder / "steps.json").write_text(json.dumps(steps, indent=0) + "\n")
    peft.save_pretrained(folder / "final")
    (folder / "final" / "README.md").unlink(missing_ok=True)
    for adapter in ("start", "final"):
        file = folder / adapter / "adapter_config.json"
        settings = json.loads(file.read_text())
        settings["target_modules"] = sorted(settings["target_modules"])  # PEFT writes a set
        file.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    with torch.no_grad():
        # In train mode, whose products are in f32: bitsandbytes packs weights otherwise for inference on the CPU.
        logits = peft.train()(torch.tensor([rows[0]["input_ids"]])).logits[0]
    (folder / "ids.json").write_text(json.dumps([rows[0]["input_ids"]]) + "\n")
    save_file({"logits.0": logits.contiguous()}, folder / "final_logits.safetensors")


def check_adapters(program):
    """Trains with `program`, loads its adapter into PEFT and compares the logits of the two."""
    for name in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            for part in {name, "llama"}:
                shutil.copytree(HERE / f"trajectory_{part}", pathlib.Path(folder) / f"trajectory_{part}")
            shared = pathlib.Path(folder) / f"trajectory_{'llama' if name in CHANGES else name}"
            folder = pathlib.Path(folder) / f"trajectory_{name}"
            run = lambda *words: subprocess.run([program, *map(str, words)], check=True)
            run("train", folder / "recipe.yaml", "--quiet")
            tokenizer = PreTrainedTokenizerFast.from_pretrained(shared / "model")
            lines = (shared / "rows.jsonl").read_text().splitlines()[:20]
            ids = [tokenized(tokenizer, json.loads(line))["input_ids"] for line in lines]
            (folder / "ids.json").write_text(json.dumps(ids))
            run("logits", "--model", shared / "model", "--adapter", folder / "output", "--load-in-4bit",
                "--input", folder / "ids.json", "--output", folder / "logits.safetensors")
            ours = load_file(folder / "logits.safetensors")
            peft = PeftModel.from_pretrained(quantised(shared / "model"), folder / "output").train()
            worst = 0
            for i, row in enumerate(ids):
                with torch.no_grad():
                    theirs = peft(torch.tensor([row])).logits[0]
                worst = max(worst, ((ours[f"logits.{i}"] - theirs).norm() / theirs.norm()).item())
            print(name, "logits of our adapter in PEFT: largest relative difference", worst)


if __name__ == "__main__":
    torch.set_num_threads(1)  # products this small are slower on more
    if sys.argv[1:2] == ["--adapters"]:
        check_adapters(pathlib.Path(sys.argv[2]).resolve())
    else:
        for model_name in sys.argv[1:] or MODELS:
            make(model_name)
