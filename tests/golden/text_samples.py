"""Strings that tokenizers are compared on: every kind of text that is known to go wrong somewhere."""
import random
import unicodedata

ENGLISH = [
    "The quick brown fox jumps over the lazy dog, and the dog doesn't mind: it's used to it.",
    "We've seen 1234567 foxes in 2024; they'll come back in 2025. I'd say that they're FAST!",
    "\"Well,\" she said -- not unkindly -- 'that's 3.14159 times (at most) what I'd HAVE'VE paid.'",
    "Dr. O'Neill's e-mail is j.o'neill@example.com, see https://example.com/a_b?c=d&e=%20#f.",
]
OTHER = [
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。", "「ﾊﾝｶｸ」とＦＵＬＬ　ＷＩＤＴＨ、㍿と㌔、①②③、ガとカ\u3099。", "今日は2024年7月24日（水）です。気温は３５℃。",
    "人人生而自由，在尊严和权利上一律平等。繁體字也一樣。", "모든 인간은 태어날 때부터 자유로우며 \u1112\u1161\u11ab\u1100\u116e\u11a8.",
    "Größe, naïveté, cafe\u0301, Ångström, ĲSSELMEER, ﬁn, ŒUVRE, İstanbul, ıĞ, ẞß.", "привет, МИР! Съешь же ещё этих мягких булок.",
    "Ὀδυσσεύς ΣΑΣ σας", "שָׁלוֹם עולם", "ٱلسَّلَامُ عَلَيْكُمْ ١٢٣", "नमस्ते दुनिया क्षत्रिय १२३", "สวัสดีชาวโลก ๑๒๓", "မြန်မာဘာသာ", "ខ្មែរ",
    "Tiếng Việt: Tất cả mọi người", "a\u0323\u0301 a\u0301\u0323 q\u0307\u0323", "𝒜𝓑𝔠 𝟘𝟙𝟚 𐍈 𠮷 🜁", "½ ⅓ Ⅷ ² ₃ ٣ 〇 一二三",
]
CODE = [
    "def add(first, second):\n    return first + second\n\nprint(add(1, 22))  # 23\n",
    "for (int i = 0; i < n; ++i) {\n\tsum += a[i]*b[i];\t// ...\n}\r\n",
    '{"id": 17, "tags": ["a", "b"], "x": null, "url": "http://x.y/z?q=%E3%81%82"}',
    "SELECT * FROM t WHERE a<>'b' AND c>=1e-9;--comment", "#!/bin/sh\nexport A=$((1<<2)) && echo \"${A:-x}\" | sed 's/\\(.*\\)/\\1/'\n",
    "<div class=\"a\"><p>x&nbsp;y</p></div><!-- -->", "\\begin{align}\\frac{a}{b} &= \\sum_{i=0}^n x_i^2 \\\\ \\end{align}",
    "int*p=&x;p->y=~z^0xFFu;/*c*/", "    \t  mixed   \t\tindent", "CamelCaseNameHTTPServer2Go snake_case_name kebab-case-name",
]
EMOJI = ["👩‍👩‍👧‍👦", "🏳️‍🌈", "🙂", "👍🏽", "🇯🇵", "🇯", "1️⃣", "❤️", "☺", "🧑🏿‍🚀", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "🫠", "©️"]
SPACES = [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\r", "\t", "\t\t", "\u00a0", "\u3000", "\u2003", "\u2028", "\u2029", "\u0085", "\u180e",
          "\u200b", "\u205f", "\u1680", "\v", "\f", "\u202f"]
MARKS = ["\u0301", "\u0323", "\u0308", "\u3099", "\u309a", "\u20e3", "\u034f", "\u0334", "\u05b0", "\u0651", "\u094d", "\u0e31", "\u1ab0",
         "\u1dc0", "\ufe0f", "\ufe20", "\u200d", "\u200c", "\u1161", "\u11a8"]
PIECES = ["'S", "'ll", "'LL", "'re", "'\u017f", "\u017f", "’s", "0", "00", "007", "123456789", "1,234.5", "１２３４", "½", "▁", "▁▁", "<", ">", "</s>", "<s>",
          "<unk>", "<0x41>", "<0xE3>", "Ġ", "Ċ", "ĠĠ", "\\n", "%20", "…", "—", "--", "###", "=" * 20, "." * 9, "_", "|", "``", "\ufeff", "\ufffd", "x", "axx", "qQ"]
# First and last character of the ranges that Unicode assigns or reserves; surrogates are no text.
RANGES = [(0, 0x2FFF), (0x3000, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x1FFFF), (0x20000, 0x3FFFF), (0xE0000, 0xE01FF), (0xF0000, 0x10FFFF)]
BLOCKS = [b for first, last in RANGES for b in range(first, min(last + 1, 0x33000), 0x80)] + [0xE0000, 0xE0080, 0xE0100, 0xF0000, 0x10FF80]


class Samples:
    """Strings drawn from a seed. `special` are a tokenizer's own added tokens, `corpus` longer texts to cut pieces from."""

    def __init__(self, seed, special=(), corpus=()):
        self.draw = random.Random(seed)
        self.special = list(special)
        self.corpus = [*ENGLISH, *OTHER, *CODE, *corpus]
        self.assigned = [chr(c) for first, last in RANGES for c in range(first, last + 1)
                         if c < 0xF0000 and unicodedata.category(chr(c)) not in ("Cn", "Co", "Cs")]

    def block(self):
        """Characters of one block of 128, assigned or not."""
        base = self.draw.choice(BLOCKS)
        return "".join(chr(base + self.draw.randrange(0x80)) for _ in range(self.draw.randrange(1, 20)))

    def anything(self):
        return "".join(self.draw.choice(self.assigned) for _ in range(self.draw.randrange(1, 12)))

    def cut(self):
        text = self.draw.choice(self.corpus)
        begin = self.draw.randrange(len(text))
        return text[begin:begin + self.draw.randrange(1, 80)]

    def marks(self):
        return self.draw.choice("aeqカ가ा1 \n") + "".join(self.draw.choice(MARKS) for _ in range(self.draw.randrange(1, 6)))

    def spaces(self):
        if self.draw.random() < 0.5:
            return "".join(self.draw.choice(SPACES) for _ in range(self.draw.randrange(1, 8)))
        return self.draw.choice(SPACES) * self.draw.randrange(1, 40)

    def control(self):
        return "".join(chr(self.draw.choice([*range(0x20), *range(0x7F, 0xA0)])) for _ in range(self.draw.randrange(1, 6)))

    def long_word(self):
        kind = self.draw.randrange(5)
        size = self.draw.randrange(30, 3000 if self.draw.random() < 0.02 else 200)
        if kind == 0:
            return self.draw.choice(["a", "us", "あ", "=", "0", "🙂", "\u0301", "Ж", "-"]) * size
        letters = ["abcdefghijklmnopqrstuvwxyz", "0123456789abcdef", "ACGT", "あいうえおかきくけこがぎぐげご漢字仮名交文"][kind - 1]
        return "".join(self.draw.choice(letters) for _ in range(size))

    def joined(self):
        return "".join(self.draw.choice([*PIECES, *EMOJI, *SPACES]) for _ in range(self.draw.randrange(1, 8)))

    def with_special(self):
        if not self.special:
            return self.joined()
        return self.draw.choice(["", " ", "  ", "\n", "a", "é"]) + self.draw.choice(self.special) + self.draw.choice(["", " ", "\n ", "b", "\u3000"])

    def one(self):
        kinds = [self.block, self.anything, self.cut, self.cut, self.cut, self.marks, self.spaces, self.control, self.long_word, self.joined, self.joined,
                 self.with_special]
        return "".join(self.draw.choice(kinds)() for _ in range(self.draw.choice([1, 1, 2, 3, 5, 8])))

    def strings(self, count):
        """`count` different strings."""
        out = dict.fromkeys(["", " ", "  ", "\n", "a", " a ", "\u0301", "\0", "\ufeffa"])
        while len(out) < count:
            out[self.one()] = None
        return list(out)
