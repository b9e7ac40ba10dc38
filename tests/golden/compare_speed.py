"""Loading and encoding beside Hugging Face `tokenizers`: one thread against one thread, the same texts, in one run."""
import json
import lzma
import pathlib
import subprocess
import sys
import sysconfig
import tempfile
import time

NAMES = ["gemma2", "llama3", "qwen3"]
RUNS = 3
UNITS = {"a": "a", "blanks": " ", "line ends": "\n", "us": "us", "digits": "1234567890", "kanji": "漢", "marks": "\u0323\u0301", "emoji": "👩\u200d", "NUL": "\0"}


def default_texts(shared):
    """What is at hand: Python's own sources, and the dialogues. For better texts see --text."""
    code = "".join(path.read_text(errors="ignore") for path in sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("*.py"))[:80])
    texts = {"code": code[:3000000]}
    for language, path in (("english", "en"), ("japanese", "ja")):
        file = shared / "data" / "socratic" / f"{path}.json"
        if file.exists():
            texts[language] = "\n".join(turn["content"] for row in json.loads(file.read_text()) for turn in row["messages"])
    return texts


def documents(text, size):
    out, held = [], ""
    for line in text.splitlines(keepends=True):
        held += line
        if len(held.encode()) >= size:
            out.append(held)
            held = ""
    return out + [held] if held else out


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def theirs(path, texts):
    """Best seconds of loading, and of `encode` and `encode_batch_fast` by text; every run loads anew."""
    from tokenizers import Tokenizer
    load, best = 1e9, {name: [1e9, 1e9] for name in texts}
    for way in (0, 1):
        for _ in range(RUNS):
            start = time.perf_counter()
            tokenizer = Tokenizer.from_file(str(path))
            load = min(load, time.perf_counter() - start)
            for name, docs in texts.items():
                one_by_one = lambda: [tokenizer.encode(doc, add_special_tokens=False).ids for doc in docs]
                at_once = lambda: [e.ids for e in tokenizer.encode_batch_fast(docs, add_special_tokens=False)]
                best[name][way] = min(best[name][way], seconds(at_once if way else one_by_one))
    return load, best


def run(options):
    bench = options.build / "tokenizer_bench"
    if not bench.exists():
        sys.exit(f"{bench} is not there: cmake --build {options.build} --target tokenizer_bench")
    given = dict(word.split("=", 1) for word in options.text)
    texts = {name: pathlib.Path(path).read_text() for name, path in given.items()} or default_texts(options.shared)
    texts = {name: documents(text, options.document_bytes) for name, text in texts.items()}
    worst = {name: [unit * (2**20 // len(unit.encode()))] for name, unit in UNITS.items()}
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for name, docs in (texts | worst).items():
            files[name] = pathlib.Path(folder) / f"{len(files)}.json"
            files[name].write_text(json.dumps(docs, ensure_ascii=False))
        for name in NAMES:
            packed = options.shared / "tokenizers" / name / "tokenizer.json.xz"
            if not packed.exists():
                print(f"SKIPPED: {packed} is not there")
                continue
            path = pathlib.Path(folder) / "tokenizer.json"
            path.write_bytes(lzma.open(packed).read())
            lines = subprocess.run([bench, path, *files.values()], stdout=subprocess.PIPE, check=True).stdout.splitlines()
            ours = [json.loads(line) for line in lines]
            load, best = theirs(path, texts)
            print(f"{name}: loading {ours[0]['load_seconds']:.3f} s, tokenizers {load:.3f} s")
            for text, mine in zip(texts | worst, ours[1:], strict=True):
                megabytes = mine["bytes"] / 1e6
                if text in worst:
                    print(f"  1 MiB of {text}: {mine['seconds']:.3f} s")
                    continue
                one, batch = best[text]
                print(f"  {text}: {megabytes:.2f} MB, {megabytes / mine['seconds']:.1f} MB/s; tokenizers encode {megabytes / one:.2f} "
                      f"({one / mine['seconds']:.1f} times), encode_batch_fast {megabytes / batch:.2f} ({batch / mine['seconds']:.1f} times)", flush=True)
    return 0
