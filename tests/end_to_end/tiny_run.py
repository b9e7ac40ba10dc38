"""A model, rows and a recipe that train in a moment, and what of a run's output must not depend on when it ran."""
import hashlib
import json
import pathlib
import random
import struct

VOLATILE = ("runtime", "per_second", "elapsed_time", "remaining_time", "throughput")
STYLE = {"style": {"name": "question", "mode": "generate", "max_new_tokens": 6, "scope": "text",
                   "parts": [{"weight": 1.0, "where": "anywhere", "any": ["a", "e", "?"]}]}}


def byte_symbols():
    """The printable stand-ins that byte-level BPE has for bytes (GPT-2)."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in kept]
    return {b: chr(b) for b in kept} | {b: chr(256 + i) for i, b in enumerate(others)}


def write_tokenizer(folder):
    vocabulary = {symbol: i for i, symbol in enumerate(byte_symbols().values())}
    specials = ["<|im_start|>", "<|im_end|>"]
    added = [{"id": 256 + i, "content": s, "special": True, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False} for i, s in enumerate(specials)]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
                 "pre_tokenizer": level, "post_processor": None, "decoder": level,
                 "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                           "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                           "vocab": vocabulary | {s: 256 + i for i, s in enumerate(specials)}, "merges": []}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    template = ("{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
                "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|im_end|>", "chat_template": template}))


def write_model(folder, layers=2, width=32, mlp=64, vocabulary=260, seed=7):
    """A random Llama in f32."""
    folder.mkdir(parents=True)
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": width,
              "intermediate_size": mlp, "num_hidden_layers": layers, "num_attention_heads": 2,
              "num_key_value_heads": 1, "head_dim": width // 2, "vocab_size": vocabulary,
              "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
              "tie_word_embeddings": True, "eos_token_id": 257, "torch_dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(config))
    shapes = {"model.embed_tokens.weight": [vocabulary, width], "model.norm.weight": [width]}
    for i in range(layers):
        p = f"model.layers.{i}."
        shapes |= {p + "self_attn.q_proj.weight": [width, width], p + "self_attn.k_proj.weight": [width // 2, width],
                   p + "self_attn.v_proj.weight": [width // 2, width], p + "self_attn.o_proj.weight": [width, width],
                   p + "mlp.gate_proj.weight": [mlp, width], p + "mlp.up_proj.weight": [mlp, width],
                   p + "mlp.down_proj.weight": [width, mlp], p + "input_layernorm.weight": [width],
                   p + "post_attention_layernorm.weight": [width]}
    draw = random.Random(seed)
    header, data = {"__metadata__": {"format": "pt"}}, bytearray()
    for name, shape in shapes.items():
        count = shape[0] * (shape[1] if len(shape) == 2 else 1)
        values = [1.0] * count if len(shape) == 1 else [draw.gauss(0, 0.2) for _ in range(count)]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * count]}
        data += struct.pack(f"<{count}f", *values)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    write_tokenizer(folder)


def write_rows(path, count):
    draw = random.Random(3)
    words = ["virtue", "what", "you", "know", "then", "tell", "me", "is", "good", "said"]
    rows = []
    for _ in range(count):
        say = lambda n: " ".join(draw.choice(words) for _ in range(n))
        rows.append({"messages": [{"role": "user", "content": say(4)}, {"role": "assistant", "content": say(5) + "?"}]})
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")


def make(folder, modules, rows=20, **training):
    """Writes everything into `folder`, with adapters on `modules`; the recipe is folder/recipe.yaml, its output folder/output."""
    write_model(folder / "model")
    write_rows(folder / "rows.jsonl", rows)
    settings = {"output_dir": "output", "num_train_epochs": 3, "per_device_train_batch_size": 1,
                "gradient_accumulation_steps": 4, "per_device_eval_batch_size": 2, "learning_rate": 0.01,
                "lr_scheduler_type": "cosine", "warmup_ratio": 0.25, "weight_decay": 0.01, "eval_strategy": "steps",
                "eval_steps": 3, "save_steps": 2, "save_total_limit": 2, "load_best_model_at_end": True,
                "metric_for_best_model": "combined", "logging_steps": 2, "seed": 1, "report_to": ["tensorboard"],
                "sample_prompts": ["what is virtue"], "sample_max_new_tokens": 4}
    recipe = {"model": {"model_name_or_path": "model", "device": "cpu"}, "lora": {"r": 4, "lora_dropout": 0.1, "target_modules": modules},
              "data": {"train_file": "rows.jsonl", "train_fraction": 0.8}, "training": settings | training,
              "metrics": [STYLE, {"combined": {"weights": {"question": 0.5, "eval_loss": 0.5}}}]}
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    return folder / "recipe.yaml"


def timeless(row):
    return {k: v for k, v in row.items() if not any(word in k for word in VOLATILE)}


def adapter(output):
    return hashlib.sha256((output / "adapter_model.safetensors").read_bytes()).hexdigest()


def history(output):
    return [timeless(row) for row in json.loads((output / "trainer_state.json").read_text())["log_history"]]


def log(output):
    return [timeless(json.loads(line)) for line in (output / "trainer_log.jsonl").read_text().splitlines()]


def csv(output):
    return (output / "training_progress" / "training_metrics.csv").read_text()


def samples(output):
    return (output / "training_progress" / "samples.txt").read_text()


def curves(output):
    """What TensorBoard's own reader makes of the event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(str(output / "runs"), {"scalars": 0})
    events.Reload()
    tags = [tag for tag in events.Tags()["scalars"] if not any(word in tag for word in VOLATILE)]
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}


# Everything of a finished run that a run in several pieces must have in common with it.
RESULTS = (adapter, history, log, csv, samples)


def damage(output):
    """What is wrong with the checkpoints that lie there: each must be whole."""
    wrong = []
    for folder in sorted(output.glob("checkpoint-*")):
        if not folder.name.removeprefix("checkpoint-").isdigit():
            continue
        try:
            files = json.loads((folder / "manifest.json").read_text())["files"]
        except (OSError, ValueError) as error:
            wrong.append(f"{folder.name}: {error}")
            continue
        for file in files:
            path = folder / file["name"]
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != file["sha256"]:
                wrong.append(f"{folder.name}/{file['name']}")
    return wrong


def leftovers(output):
    return sorted(str(p.relative_to(output)) for p in output.rglob("*")
                  if any(mark in p.name for mark in (".tmp-", ".del-", ".old-")))
