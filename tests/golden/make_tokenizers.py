#!/usr/bin/env python3
"""Makes tokenizers/forms.json.xz and tokenizers/real.json.xz: what Hugging Face's `tokenizers` gives for a few thousand strings.

Needs: pip install tokenizers==0.23.3, and the real tokenizers in ../shared/tokenizers, of which only ids are kept.
forms.json: {name: {"tokenizer": tokenizer.json's content, "cases": [{"text", "ids", "ids_with_ends", "decoded", "decoded_without_special"}]}}
real.json: {"strings": [...], "ids": {name: [ids of each string]}}
"""
import json
import lzma
import pathlib

from tokenizers import Tokenizer

from compare_tokenizers import real_tokenizers
from text_samples import Samples
from tokenizer_forms import Forms, corpus

FOLDER = pathlib.Path(__file__).with_name("tokenizers")
SHARED = pathlib.Path(__file__).resolve().parents[3] / "shared"


def case(tokenizer, text):
    with_ends = tokenizer.encode(text).ids
    return {"text": text, "ids": tokenizer.encode(text, add_special_tokens=False).ids, "ids_with_ends": with_ends,
            "decoded": tokenizer.decode(with_ends, skip_special_tokens=False), "decoded_without_special": tokenizer.decode(with_ends)}


def write(name, content):
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    (FOLDER / name).write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    print(name, (FOLDER / name).stat().st_size, "bytes")


def main():
    forms = {}
    for seed, (name, make) in enumerate(Forms(corpus(), 340).standard().items()):
        tokenizer = make()
        special = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
        texts = [text for text in Samples(seed, special[:40]).strings(240) if len(text) < 300]
        forms[name] = {"tokenizer": json.loads(tokenizer.to_str()), "cases": [case(tokenizer, text) for text in texts]}
    write("forms.json.xz", forms)
    strings = [text for text in Samples(100).strings(1500) if len(text) < 300]
    real = {name: Tokenizer.from_str(text) for name, text in real_tokenizers(SHARED).items()}
    write("real.json.xz", {"strings": strings, "ids": {name: [tokenizer.encode(text, add_special_tokens=False).ids for text in strings]
                                                       for name, tokenizer in real.items()}})
    print(sum(len(form["cases"]) for form in forms.values()), "strings for forms,", len(strings), "for", ", ".join(real))


main()
