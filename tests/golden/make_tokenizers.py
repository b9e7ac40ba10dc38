#!/usr/bin/env python3
"""Makes the tiny tokenizers of tokenizers/ and what Hugging Face's `tokenizers` gives for a few texts.

Needs: pip install tokenizers==0.23.3. Each file holds {"tokenizer": tokenizer.json's content, "cases": [...]}; a case is a
text, its ids with and without special tokens, and what they decode to with and without special tokens.
"""
import json
import pathlib
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "The quick brown fox jumps over the lazy dog, and the dog doesn't mind: it's used to it.",
    "We've seen 1234567 foxes in 2024; they'll come back in 2025. I'd say that they're fast!",
    "def add(first, second):\n    return first + second\n\nprint(add(1, 22))  # 23\n",
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
    "Größe, naïveté, cafe\u0301, Ångström; привет, мир! 안녕하세요 세계 👩‍👩‍👧 🙂",
    "    four blanks\t\ttwo tabs\r\n\r\ntwo lines   and three blanks   ",
] * 2

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
          r"\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = ["\\p{N}{1,3}", "[一-龥\u3040-\u309f\u30a0-\u30ff]+",
            "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
            " ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"]


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def byte_level(use_regex=False, prefix=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=use_regex)


def train(tokenizer, size, specials=(), byte_alphabet=False):
    alphabet = pre_tokenizers.ByteLevel.alphabet() if byte_alphabet else []
    tokenizer.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=size, special_tokens=list(specials), initial_alphabet=alphabet,
                                    show_progress=False))
    return tokenizer


def byte_level_tokenizer(pre_tokenizer, specials, normalizer=None, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return train(tokenizer, 340, specials, byte_alphabet=True)


def smollm():
    return byte_level_tokenizer(
        pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(use_regex=True)]),
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])


def llama3():
    tokenizer = byte_level_tokenizer(pre_tokenizers.Sequence([split(LLAMA3), byte_level()]), [], ignore_merges=True)
    tokenizer.add_special_tokens(["<|begin_of_text|>", "<|eot_id|>"])
    bos = tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=True),
        processors.TemplateProcessing(single="<|begin_of_text|> $A <|eot_id|>",
                                      special_tokens=[("<|begin_of_text|>", bos), ("<|eot_id|>", bos + 1)])])
    return tokenizer


def qwen():
    tokenizer = byte_level_tokenizer(
        pre_tokenizers.Sequence([split(LLAMA3.replace("{1,3}", "")), byte_level()]), [], normalizers.NFC())
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)])
    return tokenizer


def deepseek():
    tokenizer = byte_level_tokenizer(pre_tokenizers.Sequence([*map(split, DEEPSEEK), byte_level()]),
                                     ["<｜begin▁of▁sentence｜>"], normalizers.Sequence([]))
    tokenizer.add_tokens([AddedToken("<｜User｜>", normalized=True)])
    return tokenizer


def sentencepiece(prepend):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    replace = normalizers.Replace(" ", "▁")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), replace]) if prepend else replace
    tokenizer.pre_tokenizer = split("▁", "merged_with_next")
    train(tokenizer, 500, ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)])
    state = json.loads(tokenizer.to_str())
    state["pre_tokenizer"] = None
    state["added_tokens"] = state["added_tokens"][:3]
    tokenizer = Tokenizer.from_str(json.dumps(state))
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(steps + [decoders.Strip(" ", 1, 0)] if prepend else steps)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def metaspace():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    train(tokenizer, 200, ["<unk>"])
    tokenizer.add_tokens([
        AddedToken("[L]", lstrip=True, normalized=False), AddedToken("[R]", rstrip=True, normalized=False),
        AddedToken("cat", single_word=True, normalized=False), AddedToken("dog", normalized=True)])
    return tokenizer


def cuts():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(Regex(r"\d+"), "0"), normalizers.NFD()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("merged_with_previous"),
        split("[aeiou]+", "merged_with_next"), split("[A-Z]", "contiguous"), split("(?=x)", "isolated"),
        split("[^q]+", "removed", invert=True), pre_tokenizers.Digits(), pre_tokenizers.Whitespace()])
    train(tokenizer, 160, ["<unk>"])
    return tokenizer


def texts():
    draw = random.Random(1)
    pieces = CORPUS[:6] + [
        "<|im_start|>", "<|im_end|>", "<think>", "<s>", "[L]", "[R]", "cat", "dog", "DOG", "<|eot_id|>", "<｜User｜>",
        " ", "  ", "\n", "\r\n", "\t", "\u3000", "\u00a0", "\u2003 ", "'S", "'ll", "\u017f", "'\u017f", "0", "½", "１２３４", "\u0301",
        "\u0323\u0301", "\u1100\u1161\u11a8", "\u212b", "ﬁ", "İ", "\u0000", "\u007f", "\u200d", "\ufeff", "🏳️‍🌈", "\U0002f800", "x", "axx"]
    out = ["", " ", "a", " a ", "cat concat cat", "a [L]b  [L] [R]  c", "<s><s> x", "  <|im_start|>\n", "\n\n \n x"]
    out += ["".join(draw.choice(pieces)[:draw.randrange(1, 30)] for _ in range(draw.randrange(1, 7))) for _ in range(40)]
    return out


def main():
    folder = pathlib.Path(__file__).parent / "tokenizers"
    made = {"smollm": smollm(), "llama3": llama3(), "qwen": qwen(), "deepseek": deepseek(),
            "sentencepiece": sentencepiece(True), "gemma": sentencepiece(False), "metaspace": metaspace(), "cuts": cuts()}
    for name, tokenizer in made.items():
        cases = []
        for text in texts():
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            with_ends = tokenizer.encode(text).ids
            cases.append({"text": text, "ids": ids, "ids_with_ends": with_ends,
                          "decoded": tokenizer.decode(with_ends, skip_special_tokens=False),
                          "decoded_without_special": tokenizer.decode(with_ends)})
        tokenizer_json = json.loads(tokenizer.to_str())
        lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
        (folder / f"{name}.json").write_text(
            '{"tokenizer": ' + json.dumps(tokenizer_json, ensure_ascii=False) + ',\n"cases": [\n' + lines + "\n]}\n",
            encoding="utf-8")


main()
