#!/usr/bin/env python3
"""Trains, measures and uses a tiny classifier: a marker word decides. classifier_test.py PROGRAM"""
import csv
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

import tiny_run

WINNERS = ["winner_model_a", "winner_model_b", "winner_tie"]
MARKERS = {"left": "zzz", "right": "QQQ", "none": ""}


def texts(count, seed):
    """Words with at most one marker among them, and the class that it decides."""
    draw = random.Random(seed)
    words = ["bee", "hat", "dog", "fig"]
    for _ in range(count):
        label = draw.choice(sorted(MARKERS))
        text = [draw.choice(words) for _ in range(draw.randint(1, 3))]
        if MARKERS[label]:
            text.insert(draw.randrange(len(text) + 1), MARKERS[label])
        yield " ".join(text), label


def write_csv(path, header, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def run(program, *words, status=0):
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == status, (words, done.returncode, done.stderr[-2000:])
    return done


def tensor_names(path):
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    return {name: value["shape"] for name, value in header.items() if name != "__metadata__"}


def predicted(path):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        values = [float(v) for k, v in row.items() if k != "id"]
        assert abs(sum(values) - 1) < 1e-9 and all(0 <= v <= 1 for v in values), row
    return rows


def recipe(folder, data, **training):
    settings = {"output_dir": "output", "num_train_epochs": 20, "per_device_train_batch_size": 8,
                "per_device_eval_batch_size": 16, "learning_rate": 0.01, "eval_strategy": "epoch",
                "save_strategy": "epoch", "save_total_limit": 1, "load_best_model_at_end": True,
                "metric_for_best_model": "log_loss", "greater_is_better": False, "warmup_ratio": 0.05,
                "logging_steps": 20, "seed": 1}
    text = {"model": {"model_name_or_path": "model", "device": "cpu", "task_type": "SEQ_CLS", "num_labels": 3},
            "quantization": {"load_in_4bit": False}, "lora": {"r": 8, "target_modules": "all-linear"}, "data": data,
            "training": settings | training}
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(text))
    return path


def marker_words_decide(program, folder):
    write_csv(folder / "train.csv", ["text", "label"], texts(300, 1))
    write_csv(folder / "eval.csv", ["text", "label"], texts(200, 2))
    path = recipe(folder, {"train_file": "train.csv", "eval_file": "eval.csv", "max_length": 32, "truncation": "truncate"},
                  class_weights="balanced")
    log = run(program, "train", path).stderr
    assert "true \\ as" in log and "balanced_accuracy" in log, log[-2000:]
    output = folder / "output"
    metrics = json.loads(run(program, "eval", path, "--adapter", output).stdout)
    assert metrics["eval_accuracy"] >= 0.99, metrics
    best = json.loads((output / "trainer_state.json").read_text())["best_metric"]
    assert abs(metrics["eval_log_loss"] - best) < 1e-6 * best, (metrics, best)
    matrix = json.loads((output / "training_progress" / "confusion_matrix_best.json").read_text())
    assert matrix["matrix"] == metrics["eval_confusion_matrix"]["matrix"], matrix
    assert (output / "training_progress" / "confusion_matrix.png").read_bytes().startswith(b"\x89PNG")
    config = json.loads((output / "config.json").read_text())
    assert config["architectures"] == ["LlamaForSequenceClassification"] and config["pad_token_id"] == 257, config
    assert config["id2label"] == {"0": "left", "1": "none", "2": "right"}, config
    assert tensor_names(output / "adapter_model.safetensors")["base_model.model.score.weight"] == [3, 32]
    adapter = json.loads((output / "adapter_config.json").read_text())
    assert adapter["task_type"] == "SEQ_CLS" and adapter["modules_to_save"] == ["classifier", "score"], adapter
    # Every length, in an order of its own: the answers come back in the input's order.
    rows = list(texts(50, 3))
    write_csv(folder / "test.csv", ["id", "text"], [[f"row-{i}", text] for i, (text, _) in enumerate(rows)])
    arguments = ["predict", path, "--adapter", output, "--input", folder / "test.csv", "--output", folder / "out.csv"]
    run(program, *arguments)
    found = predicted(folder / "out.csv")
    assert [row["id"] for row in found] == [f"row-{i}" for i in range(50)]
    assert list(found[0]) == ["id", "left", "none", "right"]
    right = sum(max(MARKERS, key=lambda name: float(row[name])) == label for row, (_, label) in zip(found, rows))
    assert right >= 49, right
    said = run(program, *arguments, "--fit-temperature").stderr
    assert "temperature" in said and predicted(folder / "out.csv"), said
    run(program, *arguments, "--average-swapped", status=2)
    files_are_kept(program, path, output, folder)
    others_are_refused(program, path, output, folder)
    run(program, "chat", "--model", folder / "model", "--adapter", output, "--prompt", "hello", status=2)
    assert "class 0 (left)" in run(program, "inspect", path, "--rows", 30).stdout
    assert "Classes     3" in run(program, "plan", path).stdout


def refused(program, *words, status, has):
    said = run(program, *words, status=status).stderr
    assert has in said, said[-2000:]


def files_are_kept(program, path, output, folder):
    """No output takes the place of what is read, and where it cannot be written is said before any work."""
    test, link = folder / "test.csv", folder / "link.csv"
    before = test.read_bytes()
    link.symlink_to(test)
    predict = ["predict", path, "--adapter", output, "--input", test, "--output"]
    for same in (test, link, folder / "model" / ".." / "test.csv", folder / "train.csv", path, output / "config.json"):
        refused(program, *predict, same, status=2, has="is read and would be overwritten")
    refused(program, *predict, folder / "none" / "out.csv", status=2, has="No such file or directory")
    refused(program, *predict, folder, status=2, has="is a folder")
    assert test.read_bytes() == before and not list(folder.glob("*.tmp-*"))


def others_are_refused(program, path, output, folder):
    """Adapters of other classes, tasks and models, and no adapter at all."""
    refused(program, "eval", path, status=2, has="has no trained head (score.weight)")
    arguments = ["predict", path, "--input", folder / "test.csv", "--output", folder / "x.csv", "--adapter"]
    refused(program, *arguments, folder / "nowhere", status=3, has="there is no such folder")
    refused(program, *arguments, output, "model.num_labels=4", status=3, has="3 classes (left, none, right)")
    write_csv(folder / "other.csv", ["text", "label"], [["bee", "cat"], ["hat", "dog"], ["fig", "fox"]])
    both = "3 classes (left, none, right), but the recipe's rows have 3 classes (cat, dog, fox)"
    other = ["data.train_file=other.csv", "data.eval_file=other.csv"]
    refused(program, *arguments, output, *other, status=3, has=both)
    refused(program, "eval", path, "--adapter", output, *other, status=3, has=both)
    refused(program, "train", path, *other, f"lora.init_from={output}", "training.output_dir=new", status=3, has=both)
    language = tiny_run.make(folder / "language", ["q_proj"], num_train_epochs=1)
    run(program, "train", language, "--quiet")
    refused(program, *arguments, folder / "language" / "output", status=3, has="task_type: found CAUSAL_LM")
    refused(program, "eval", language, "--adapter", output, status=3, has="task_type: found SEQ_CLS")
    # Another model of the same shapes: it may be the same in another precision, so it is said, not refused.
    tiny_run.write_model(folder / "another", seed=8)
    other_base = ["model.model_name_or_path=another"]
    said = run(program, *arguments, output, *other_base).stderr
    assert "was trained on other weights than those of" in said, said
    said = run(program, *arguments, output, "quantization.load_in_4bit=true").stderr
    assert "warning" not in said and "note" not in said, said
    # A folder that moved, without the rows that it was trained on.
    moved = output.rename(folder / "moved")
    (folder / "train.csv").rename(folder / "away.csv")
    said = run(program, *arguments, moved).stderr
    assert "warning" not in said and "note" not in said, said
    assert list(predicted(folder / "x.csv")[0]) == ["id", "left", "none", "right"]
    moved.rename(output)
    (folder / "away.csv").rename(folder / "train.csv")


def arena_rows_are_predicted(program, folder):
    draw = random.Random(5)
    rows = []
    for i in range(40):
        sides = [json.dumps([draw.choice(["bee", "hat é😀", "say \"x\"\n"]) for _ in range(1 + i % 2)]) for _ in range(3)]
        winner = [0, 0, 0]
        winner[i % 3] = 1
        rows.append([i, *sides, *winner])
    rows += [[40, '["p"]', "[null]", "[null]", 1, 0, 0]]
    write_csv(folder / "arena.csv", ["id", "prompt", "response_a", "response_b", *WINNERS], rows)
    path = recipe(folder, {"train_file": "arena.csv", "folds": 4, "fold": 1, "max_length": 80, "truncation": "proportional",
                           "swap_answers": True}, output_dir="arena", num_train_epochs=1)
    text = json.loads(path.read_text())
    text["model"]["num_labels"] = 4
    path.write_text(json.dumps(text))
    log = run(program, "train", path).stderr
    assert "left out 1 rows: both answers null" in log and "train: 60 rows" in log and "eval: 10 rows" in log, log
    write_csv(folder / "test.csv", ["id", "prompt", "response_a", "response_b"], [row[:4] for row in rows])
    write_csv(folder / "swapped.csv", ["id", "prompt", "response_a", "response_b"],
              [[row[0], row[1], row[3], row[2]] for row in rows])
    for name in ("test", "swapped"):
        run(program, "predict", path, "--adapter", folder / "arena", "--input", folder / f"{name}.csv", "--output",
            folder / f"{name}-out.csv", "--average-swapped")
    given, swapped = predicted(folder / "test-out.csv"), predicted(folder / "swapped-out.csv")
    assert list(given[0]) == ["id", *WINNERS] and len(given) == 41
    for a, b in zip(given, swapped):
        assert abs(float(a[WINNERS[0]]) - float(b[WINNERS[1]])) < 1e-6, (a, b)
        assert abs(float(a[WINNERS[2]]) - float(b[WINNERS[2]])) < 1e-6, (a, b)
    # Every row with another in its batch gives what it gives alone.
    run(program, "predict", path, "--adapter", folder / "arena", "--input", folder / "test.csv", "--output",
        folder / "alone.csv", "--average-swapped", "training.per_device_eval_batch_size=1")
    for a, b in zip(given, predicted(folder / "alone.csv")):
        assert a["id"] == b["id"] and all(abs(float(a[w]) - float(b[w])) < 1e-5 for w in WINNERS), (a, b)
    arguments = ["predict", path, "--adapter", folder / "arena", "--output", folder / "x.csv", "--input"]
    refused(program, *arguments, folder / "missing.csv", status=3, has="missing.csv")
    write_csv(folder / "empty.csv", ["id", "prompt", "response_a", "response_b"],
              [["1", '["p"]', '["a"]', '["b"]'], ["2", '["p"]', '[""]', "[null]"]])
    refused(program, *arguments, folder / "empty.csv", 'data.text_template="{response_a}{response_b}"', status=3,
            has="empty.csv: row 2 (line 3)")
    refused(program, *arguments, folder / "test.csv", "data.label_column=winner", status=2, has="data.label_column")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        tiny_run.write_model(work / "model")
        marker_words_decide(sys.argv[1], work)
        arena_rows_are_predicted(sys.argv[1], work)
    print("ok")
