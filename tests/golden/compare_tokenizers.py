"""`elenchus tokenize` against Hugging Face `tokenizers`."""
import json
import lzma
import pathlib
import random
import tempfile

from elenchus_tokenize import differences, refuses, report, tokenize
from text_samples import Samples
from tokenizer_forms import Forms, corpus

SPECIAL_SHARE = 10  # one string in so many has the tokenizer's own added tokens in it
BAD_BYTES = [b"\x80", b"\xff", b"\xc0\xaf", b"\xc3", b"\xe3\x81", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf0\x9f\x98", b"\xf8\x88\x80\x80\x80", b"\xe0\x80\xaf"]


def real_tokenizers(shared):
    """tokenizer.json of each real tokenizer, by name."""
    return {path.parent.name: lzma.open(path, "rt", encoding="utf-8").read() for path in sorted(shared.glob("tokenizers/*/tokenizer.json.xz"))}


def texts_of(shared):
    """Longer texts to cut from: the project's own sources, and the data that is at hand."""
    root = pathlib.Path(__file__).resolve().parents[2]
    out = [path.read_text() for path in [*sorted(root.glob("src/text/*.cpp"))[:8], root / "README.md"]]
    for path in sorted(shared.glob("data/socratic/*.json")):
        out += [turn["content"] for row in json.loads(path.read_text()) for turn in row["messages"]]
    return out


def random_ids(tokenizer, count, seed):
    """Lists of ids that no text may have given."""
    draw = random.Random(seed)
    ids = sorted(tokenizer.get_vocab().values())
    return [[draw.choice(ids) for _ in range(draw.randrange(1, 12))] for _ in range(count)]


def compare(build, name, tokenizer_json, strings):
    from tokenizers import Tokenizer
    theirs = Tokenizer.from_str(tokenizer_json)
    theirs.no_truncation()
    theirs.no_padding()
    special = [token.content for token in theirs.get_added_tokens_decoder().values()]
    own = Samples(2, special[:300])
    strings = strings + list(dict.fromkeys(own.one() + own.with_special() + own.one() for _ in range(len(strings) // SPECIAL_SHARE)))
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
        counts = {}
        for kind, options, special_tokens in [("with ends", [], True), ("without", ["--no-special"], False)]:
            given = strings if special_tokens else strings[::4]
            wanted = [e.ids for e in theirs.encode_batch_fast(given, add_special_tokens=special_tokens)]
            counts["ids " + kind] = (len(given), differences(name, given, tokenize(build, folder, given, *options), wanted))
            if special_tokens:
                ids = wanted + random_ids(theirs, len(strings) // 4, 3)
        decoded = [theirs.decode(one) for one in ids]
        counts["text"] = (len(ids), differences(name, ids, tokenize(build, folder, ids, "--decode"), decoded))
        bad = [b'"' + prefix + bytes_ + suffix + b'"' for bytes_ in BAD_BYTES for prefix in [b"", b"a ", "あ".encode()] for suffix in [b"", b" b"]]
        counts["invalid UTF-8 refused"] = (len(bad), sum(not refuses(build, folder, line) for line in bad))
    return report(name, counts)


def run(options):
    strings = Samples(1, corpus=texts_of(options.shared)).strings(options.strings)
    print(f"{len(strings)} strings, {sum(len(s.encode()) for s in strings)} bytes, the longest {max(map(len, strings))} characters")
    real = real_tokenizers(options.shared)
    if not real:
        print(f"SKIPPED: no real tokenizers in {options.shared}/tokenizers")
    forms = Forms(corpus(), 1200)
    made = {**forms.standard(), **forms.parts()}
    failed = 0
    for name, text in real.items():
        if options.only in name:
            failed += compare(options.build, name, text, strings)
    for name, make in made.items():
        if options.only in name:
            failed += compare(options.build, name, make().to_str(), strings)
    return failed
