"""Small tokenizers in the forms that published ones have, for make_tokenizers.py and compare_text.py.

Needs: pip install tokenizers==0.23.3
"""
import copy
import itertools
import json

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from text_samples import CODE, EMOJI, ENGLISH, OTHER

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
ENDS = r"\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + ENDS
QWEN2 = LLAMA3.replace("{1,3}", "")
DEEPSEEK = ["\\p{N}{1,3}", "[一-龥\u3040-\u309f\u30a0-\u30ff]+",
            "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
            " ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"]
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
HEAD = r"[^\r\n\p{L}\p{N}]?"
TEKKEN = f"{HEAD}{UPPER}*{LOWER}+|{HEAD}{UPPER}+{LOWER}*|" + r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + ENDS
O200K = (f"{HEAD}{UPPER}*{LOWER}+{CONTRACTIONS}?|{HEAD}{UPPER}+{LOWER}*{CONTRACTIONS}?|"
         + r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + ENDS)
QWEN35 = (CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + ENDS)
BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def byte_level(use_regex=False, prefix=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=use_regex)


def train(tokenizer, corpus, size, specials=(), byte_alphabet=False):
    alphabet = pre_tokenizers.ByteLevel.alphabet() if byte_alphabet else []
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=size, special_tokens=list(specials), initial_alphabet=alphabet,
                                                              show_progress=False))
    return tokenizer


def template(tokenizer, pattern):
    names = {word for word in pattern.split() if word != "$A"}
    return processors.TemplateProcessing(single=pattern, special_tokens=[(name, tokenizer.token_to_id(name)) for name in names])


class Forms:
    """Tokenizers by name, trained on `corpus` to `size` tokens."""

    def __init__(self, corpus, size):
        self.corpus, self.size = corpus, size

    def byte_level_tokenizer(self, pre_tokenizer, specials=(), normalizer=None, ignore_merges=False):
        tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
        if normalizer:
            tokenizer.normalizer = normalizer
        tokenizer.pre_tokenizer = pre_tokenizer
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
        return train(tokenizer, self.corpus, self.size, specials, byte_alphabet=True)

    def patterned(self, pattern, **options):
        return self.byte_level_tokenizer(pre_tokenizers.Sequence([split(pattern), byte_level()]), **options)

    def smollm(self):
        return self.byte_level_tokenizer(pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(use_regex=True)]),
                                         ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])

    def gpt2(self, prefix=False):
        return self.byte_level_tokenizer(byte_level(use_regex=True, prefix=prefix), ["<|endoftext|>"])

    def llama3(self):
        tokenizer = self.patterned(LLAMA3, ignore_merges=True)
        tokenizer.add_special_tokens(["<|begin_of_text|>", "<|eot_id|>"])
        tokenizer.post_processor = processors.Sequence(
            [processors.ByteLevel(trim_offsets=True), template(tokenizer, "<|begin_of_text|> $A <|eot_id|>")])
        return tokenizer

    def qwen(self):
        tokenizer = self.patterned(QWEN2, normalizer=normalizers.NFC())
        tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
        tokenizer.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)])
        return tokenizer

    def deepseek(self):
        tokenizer = self.byte_level_tokenizer(pre_tokenizers.Sequence([*map(split, DEEPSEEK), byte_level()]),
                                              ["<｜begin▁of▁sentence｜>"], normalizers.Sequence([]))
        tokenizer.add_tokens([AddedToken("<｜User｜>", normalized=True)])
        return tokenizer

    def sentencepiece(self, prepend):
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        replace = normalizers.Replace(" ", "▁")
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), replace]) if prepend else replace
        tokenizer.pre_tokenizer = split("▁", "merged_with_next")
        train(tokenizer, self.corpus, self.size + 160, ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)])
        state = json.loads(tokenizer.to_str())
        state["pre_tokenizer"] = None
        state["added_tokens"] = state["added_tokens"][:3]
        tokenizer = Tokenizer.from_str(json.dumps(state))
        steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        tokenizer.decoder = decoders.Sequence(steps + [decoders.Strip(" ", 1, 0)] if prepend else steps)
        tokenizer.post_processor = template(tokenizer, "<s> $A")
        return tokenizer

    def mistral(self, scheme="first", split_pieces=False):
        """Llama 2's and Mistral's with legacy: false: Metaspace in place of the normalizer."""
        tokenizer = self.sentencepiece(True)
        state = json.loads(tokenizer.to_str())
        state["normalizer"] = None
        state["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split_pieces}
        tokenizer = Tokenizer.from_str(json.dumps(state))
        tokenizer.add_special_tokens(["[INST]", "[/INST]"])
        return tokenizer

    def metaspace(self):
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Strip()])
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
        train(tokenizer, self.corpus, self.size - 140, ["<unk>"])
        tokenizer.add_tokens([
            AddedToken("[L]", lstrip=True, normalized=False), AddedToken("[R]", rstrip=True, normalized=False),
            AddedToken("cat", single_word=True, normalized=False), AddedToken("dog", normalized=True)])
        return tokenizer

    def cuts(self):
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=False))
        tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(Regex(r"\d+"), "0"), normalizers.NFD()])
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("merged_with_previous"),
            split("[aeiou]+", "merged_with_next"), split("[A-Z]", "contiguous"), split("(?=x)", "isolated"),
            split("[^q]+", "removed", invert=True), pre_tokenizers.Digits(), pre_tokenizers.Whitespace()])
        return train(tokenizer, self.corpus, self.size - 180, ["<unk>"])

    def with_added_tokens(self, tokenizer):
        """One added token for each combination of flags."""
        flags = ["lstrip", "rstrip", "single_word", "normalized", "special"]
        for i, values in enumerate(itertools.product([False, True], repeat=len(flags))):
            text = ["<t{}>", "tok{}", "É{}", "[{} t]"][i % 4].format(i)
            chosen = dict(zip(flags, values))
            special = chosen.pop("special")
            token = AddedToken(text, special=special, **chosen)
            tokenizer.add_special_tokens([token]) if special else tokenizer.add_tokens([token])
        return tokenizer

    def standard(self):
        """The forms whose goldens are committed."""
        return {"smollm": self.smollm, "llama3": self.llama3, "qwen": self.qwen, "deepseek": self.deepseek,
                "sentencepiece": lambda: self.sentencepiece(True), "gemma": lambda: self.sentencepiece(False),
                "metaspace": self.metaspace, "cuts": self.cuts, "gpt2": self.gpt2, "gpt2_prefix": lambda: self.gpt2(True),
                "mistral": self.mistral, "mistral_split": lambda: self.mistral("always", True), "tekken": lambda: self.patterned(TEKKEN),
                "o200k": lambda: self.patterned(O200K), "added_bytes": lambda: self.with_added_tokens(self.gpt2()),
                "added_lower": lambda: self.with_added_tokens(self.byte_level_tokenizer(
                    byte_level(use_regex=True), normalizer=normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]))),
                "added_pieces": lambda: self.with_added_tokens(self.mistral())}

    def parts(self):
        """Every normalizer, pre-tokenizer and post-processor on its own, over one vocabulary."""
        out = {}
        base = self.gpt2()

        def add(name, normalizer=None, pre_tokenizers_before=(), byte_level_last=None, post_processor=None):
            def make():
                tokenizer = copy.deepcopy(base)
                if normalizer is not None:
                    tokenizer.normalizer = normalizer
                tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*pre_tokenizers_before, byte_level_last or byte_level()])
                if post_processor:
                    tokenizer.add_special_tokens(["<s>", "</s>"])
                    tokenizer.post_processor = post_processor(tokenizer)
                return tokenizer
            out[name] = make

        for form in ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"]:
            add(form, getattr(normalizers, form)())
        for left, right in [(True, False), (False, True), (True, True)]:
            add(f"Strip_{left}_{right}", normalizers.Strip(left, right))
        add("Prepend", normalizers.Prepend("▁ "))
        add("Replace_text", normalizers.Replace("a", "bb"))
        add("Replace_empty", normalizers.Replace(" ", ""))
        add("Replace_regex", normalizers.Replace(Regex(r"\s{2,}|[\n\r\x0b]+|e$"), " "))
        add("NFD_StripAccents_NFC_Lowercase", normalizers.Sequence(
            [normalizers.NFD(), normalizers.StripAccents(), normalizers.NFC(), normalizers.Lowercase()]))
        add("NFKC_Replace_Strip", normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("``", '"'), normalizers.Strip()]))
        for behavior in BEHAVIORS:
            add(f"Punctuation_{behavior}", None, [pre_tokenizers.Punctuation(behavior)])
            for invert in [False, True]:
                add(f"Split_regex_{behavior}_{invert}", None, [split(r"\p{L}+|\s", behavior, invert)])
                add(f"Split_text_{behavior}_{invert}", None, [pre_tokenizers.Split(" ", behavior, invert)])
        for individual in [False, True]:
            add(f"Digits_{individual}", None, [pre_tokenizers.Digits(individual)])
        add("Whitespace", None, [pre_tokenizers.Whitespace()])
        add("WhitespaceSplit", None, [pre_tokenizers.WhitespaceSplit()])
        for prefix, regex in itertools.product([False, True], repeat=2):
            add(f"ByteLevel_{prefix}_{regex}", None, [], byte_level(regex, prefix))
        add("Digits_ByteLevel_prefix", None, [pre_tokenizers.Digits(True)], byte_level(True, True))
        for name, pattern in {"llama3": LLAMA3, "qwen2": QWEN2, "qwen35": QWEN35, "tekken": TEKKEN, "o200k": O200K}.items():
            add(f"pattern_{name}", None, [split(pattern)])
        for i, pattern in enumerate(["$A </s>", "<s> $A </s>", "<s> <s> $A </s> <s>"]):
            add(f"Template_{i}", post_processor=lambda t, p=pattern: template(t, p))
        for scheme, pieces in itertools.product(["first", "always", "never"], [False, True]):
            out[f"Metaspace_{scheme}_{pieces}"] = lambda s=scheme, p=pieces: self.mistral(s, p)
        for fuse, fallback, unknown in itertools.product([False, True], [False, True], [None, "<unk>"]):
            out[f"unknown_{fuse}_{fallback}_{unknown}"] = lambda f=fuse, b=fallback, u=unknown: self.with_unknown(f, b, u)
        return out

    def with_unknown(self, fuse, fallback, unknown):
        """A vocabulary of pieces in which many characters are missing."""
        state = json.loads(self.sentencepiece(True).to_str())
        state["model"].update(fuse_unk=fuse, byte_fallback=fallback, unk_token=unknown)
        return Tokenizer.from_str(json.dumps(state))


def corpus():
    return [*ENGLISH, *OTHER, *CODE, "".join(EMOJI)] * 2
