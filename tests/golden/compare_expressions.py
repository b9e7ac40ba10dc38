"""Random Jinja expressions and statements, rendered by `elenchus tokenize --chat --render` and by transformers' own Jinja.

What published templates use little is where an interpreter of its own is wrong: slices by negative steps, Markup, formats, `else` of a loop that was
left, blank lines around tags. Left out are results that show addresses or the name of a generator, and complex numbers.
"""
import json
import pathlib
import random
import tempfile
import warnings

from elenchus_tokenize import report, tokenize
from tokenizer_forms import Forms, corpus

MESSAGES = [{"role": "system", "content": " Be <brief>. "}, {"role": "user", "content": "Hi 'x' & \"y\""},
            {"role": "assistant", "content": "Yo\nyo"}]
TEXTS = ["''", "'a'", "'<b>&'", "'  x y '", "'a,b,,c'", "'Hello World'", "'12'", "'-3.5'", "'é😀ß'", "'l1\\nl2\\n\\n'", "m.content", "messages[1].content",
         "'%s|%s'", "'{}-{}'", "'{0} {a}'", "'user'", "'ǆ ﬁ İ'", "'a\\tb'", "missing", "'x'|safe", "'<i>'|e"]
NUMBERS = ["0", "1", "2", "-1", "3", "5", "1.5", "-2.5", "10", "true", "false", "1e3", "7"]
LISTS = ["[]", "[1,2,3]", "['a','b','c']", "messages", "range(4)", "(1,2)", "['b','A','a']", "[3,1,2]", "[[1,2],[3,4]]", "['x',1,none]", "'a b c'.split()",
         "[{'k':1,'v':'x'},{'k':2,'v':'y'},{'k':1,'v':'z'}]"]
DICTS = ["{}", "{'a':1,'b':[1,2]}", "m", "{'k':'v','n':none}", "dict(a=1,b='<')"]
BLANKS = ["\n", " ", "\n\n", "  \n", "\t", "a", "b ", "\n  c", " {", "}", "%", "#", "-", "\r\n", "é", "\u3000"]
SHOWN_BY_ADDRESS = ("<generator", " object at 0x", "<bound", "<built", "Undefined", "<list_rev", "<reversed", "<range_it", "j)")


class Generator:
    """Expressions (text, number, list, dict, truth) nested `depth` deep, and statements around them."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.kept = []  # what has been filled into patterns

    def one(self, *lists):
        return self.random.choice(self.random.choice(lists))

    def value(self, depth):
        if depth <= 0 or self.random.random() < 0.2:
            return self.one(TEXTS, TEXTS, NUMBERS, LISTS, DICTS, ["none"])
        return self.random.choice([self.text, self.text, self.number, self.list, self.truth, self.member])(depth)

    def index(self):
        return self.random.choice(["0", "1", "2", "-1", "3", "-2", "10"])

    def cut(self):
        ends = [self.random.choice(["", self.index()]) for _ in range(2)]
        return f"[{ends[0]}:{ends[1]}{self.random.choice(['', ':1', ':2', ':-1'])}]"

    def text(self, depth):
        d = depth - 1
        if d < 0 or self.random.random() < 0.2:
            return self.one(TEXTS)
        v, t = (lambda: self.value(d)), (lambda: self.text(d))
        kinds = ["({t} + {t})", "({v} ~ {v})", "({t})[{i}]", "({t}){c}", "({t} * {i})", "({t} % {v})", "({t} % ({v}, {v}))", "({t} if {v} else {t})"]
        filters = ["upper", "lower", "title", "capitalize", "trim", "trim({t})", "string", "escape", "e", "safe", "forceescape", "tojson", "center(9)", "reverse", "indent",
                   "indent(2,true)", "indent({t})", "truncate(5)", "truncate(4,true)", "truncate(6,false,'<',0)", "join", "join({t})", "default({v})",
                   "default({v},true)", "replace({t},{t})", "format({v},{v})", "tojson(indent=2)", "tojson(ensure_ascii=true,sort_keys=true)"]
        methods = ["upper()", "lower()", "title()", "capitalize()", "swapcase()", "casefold()", "strip()", "lstrip()", "rstrip()", "strip({t})", "replace({t},{t})",
                   "replace({t},{t},1)", "center(7)", "ljust(6,{t})", "rjust(5)", "zfill(4)", "join({l})", "format({v},{v},a={v})", "removeprefix({t})",
                   "removesuffix({t})"]
        pattern = self.one(kinds, ["({v}|" + f + ")" for f in filters], ["({t})." + f for f in methods])
        return self.fill(pattern, v, t, lambda: self.list(d))

    def fill(self, pattern, value, text, a_list):
        made = {"{v}": value, "{t}": text, "{l}": a_list, "{i}": self.index, "{c}": self.cut}
        for hole, make in made.items():
            while hole in pattern:
                before, after = pattern.split(hole, 1)
                # What is filled in may hold braces of its own: it is kept apart by a mark.
                pattern = before + "\0" + str(len(self.kept)) + "\0" + after
                self.kept.append(make())
        parts = pattern.split("\0")
        return "".join(self.kept[int(p)] if i % 2 else p for i, p in enumerate(parts))

    def number(self, depth):
        d = depth - 1
        n = (lambda: self.one(NUMBERS) if self.random.random() < 0.7 or d <= 0 else f"({self.number(d)})")
        name = self.random.choice(["length", "int", "float", "round", "abs", "round(1)", "int(5)", "float(2)", "sum", "wordcount", "count"])
        return self.random.choice([f"{n()} {self.random.choice(['+', '-', '*', '/', '//', '%', '**'])} {n()}", f"({self.value(d)})|{name}", f"-{n()}",
                                   f"({self.text(d)}).{self.random.choice(['find', 'rfind', 'count', 'index'])}({self.text(d)})"])

    def list(self, depth):
        d = depth - 1
        if d < 0 or self.random.random() < 0.3:
            return self.one(LISTS)
        v, t, of = (lambda: self.value(d)), (lambda: self.text(d)), (lambda: self.list(d))
        filters = ["sort", "sort(reverse=true)", "unique|list", "batch(2)|list", "batch(2,{v})|list", "slice(2)|list", "select|list", "reject|list", "list", "first", "last",
                   "min", "max", "groupby('k')", "groupby('role')", "map(attribute='k')|list", "selectattr('role')|list", "rejectattr('k','equalto',{v})|list",
                   "sort(attribute='k')"]
        filters += [f"map('{f}')|list" for f in ("upper", "string", "length", "safe", "e", "trim", "int", "title")]
        filters += [f"select('{f}')|list" for f in ("string", "defined", "number", "mapping", "odd")]
        methods = ["split()", "split({t})", "rsplit({t},1)", "splitlines()", "splitlines(true)"]
        kinds = ["({l} + {l})", "({l}){c}", "({v}|list)", "[{v}, {v}]", "({v}, {v})"]
        pattern = self.one(kinds, ["({l}|" + f + ")" for f in filters], ["({t})." + f for f in methods])
        return self.fill(pattern, v, t, of)

    def truth(self, depth):
        d = depth - 1
        v = [self.value(d), self.value(d)]
        test = self.random.choice(["defined", "undefined", "none", "string", "number", "mapping", "sequence", "iterable", "boolean", "integer", "float", "true", "false", "odd",
                                   "even", "upper", "lower", "escaped", "callable", f"in {self.one(LISTS)}", f"eq {v[1]}", "divisibleby 2"])
        return self.random.choice([f"({v[0]} {self.random.choice(['==', '!=', '<', '<=', '>', '>=', 'in', 'not in', 'and', 'or'])} {v[1]})", f"(not {v[0]})",
                                   f"({v[0]} is {self.random.choice(['', 'not '])}{test})", f"({self.text(d)}).startswith({self.text(d)})",
                                   f"({self.text(d)}).{self.random.choice(['isdigit', 'isalpha', 'isupper', 'islower', 'isspace', 'istitle'])}()"])

    def member(self, depth):
        d = depth - 1
        return self.random.choice([f"({self.one(DICTS)}).{self.random.choice(['a', 'b', 'role', 'content'])}", f"({self.one(DICTS)})[{self.text(d)}]",
                                   f"({self.one(DICTS)}).get({self.text(d)}, {self.value(d)})"])

    def blanks(self):
        return "".join(self.random.choice(BLANKS) for _ in range(self.random.randint(0, 4)))

    def tag(self, words):
        return "{%" + self.random.choice(["", "", "-", "+"]) + self.random.choice([" ", "\n"]) + words + " " + self.random.choice(["", "", "-", "+"]) + "%}"

    def output(self, words):
        return "{{" + self.random.choice(["", "-"]) + " " + words + " " + self.random.choice(["", "-"]) + "}}"

    def statements(self, depth):
        if depth <= 0:
            return self.blanks()
        body = (lambda: self.statements(depth - 1))
        maybe = (lambda text, share: text if self.random.random() < share else "")
        out = []
        for _ in range(self.random.randint(1, 4)):
            out.append(self.blanks())
            kind = self.random.randrange(10)
            if kind == 0:
                out += [self.output(self.one(TEXTS, NUMBERS))]
            elif kind == 1:
                out += [self.tag("if " + self.value(0)), body(), maybe(self.tag("elif " + self.value(0)), 0.3), body(), maybe(self.tag("else") + body(), 0.5), self.tag("endif")]
            elif kind == 2:
                out += [self.tag("for x in " + self.one(LISTS)), body(), self.output("x"), self.output("loop." + self.one(["index", "last", "revindex", "length"])),
                        maybe(self.tag(self.random.choice(["break", "continue"])), 0.2), maybe(self.tag("else") + body(), 0.3), self.tag("endfor")]
            elif kind == 3:
                out += [self.tag("set y = " + self.value(1)), self.output("y")]
            elif kind == 4:
                out += [self.tag("set y" + self.random.choice(["", " | upper", " | trim"])), body(), self.tag("endset"), self.output("y")]
            elif kind == 5:
                out += ["{#" + self.random.choice(["", "-"]) + " x " + self.random.choice(["", "-", "+"]) + "#}"]
            elif kind == 6:
                out += [self.tag("raw").replace("+", ""), self.blanks(), "{{ x }}", self.tag("endraw")]
            elif kind == 7:
                out += [self.tag("macro f(a, b=" + self.value(0) + ")"), body(), self.output("a ~ b"), self.tag("endmacro"), self.output("f(" + self.value(0) + ")")]
            elif kind == 8:
                out += [self.tag("filter " + self.random.choice(["trim", "upper", "indent(2)", "e"])), body(), self.tag("endfilter")]
            else:
                out += [self.tag("macro g()"), "<", self.output("caller()"), ">", self.tag("endmacro"), self.tag("call g()"), body(), self.tag("endcall")]
        return "".join(out) + self.blanks()

    def template(self, number):
        if number % 3 == 0:
            return "{% set m = messages[0] %}" + self.statements(self.random.randint(1, 3))
        expression = self.value(self.random.randint(1, 3))
        return "{% set m = messages[0] %}{{ " + expression + " }}|{{ [" + expression + "] }}"


def theirs(template):
    """What transformers renders; None where it fails."""
    from transformers.utils.chat_template_utils import _compile_jinja_template
    messages = json.loads(json.dumps(MESSAGES))  # some filters change a list that they are given
    try:
        return _compile_jinja_template(template).render(messages=messages, tools=None, documents=None, bos_token="<s>", eos_token="</s>", add_generation_prompt=True)
    except Exception:
        return None


def run(options):
    warnings.simplefilter("ignore", SyntaxWarning)  # of Python about constants that make no sense
    generator = Generator(options.seed)
    counts = {"texts": [0, 0], "errors": [0, 0]}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        (path / "tokenizer.json").write_text(Forms(corpus(), 340).gpt2().to_str())
        (path / "tokenizer_config.json").write_text('{"bos_token": "<s>", "eos_token": "</s>"}')
        for number in range(options.expressions):
            generator.kept.clear()
            template = generator.template(number)
            wanted = theirs(template)
            if wanted is not None and any(mark in wanted for mark in SHOWN_BY_ADDRESS):
                continue
            (path / "chat_template.jinja").write_bytes(template.encode())
            try:
                got = tokenize(options.build, path, [{"messages": MESSAGES, "add_generation_prompt": True}], "--chat", "--render", quiet=True)[0]
            except Exception:
                got = {"error": "the template is refused"}
            same = isinstance(got, dict) if wanted is None else got == wanted
            count = counts["errors" if wanted is None else "texts"]
            count[0] += 1
            count[1] += not same
            if not same:
                print(f"  {template!r}\n    ours   {got!r:.400}\n    theirs {wanted!r:.400}")
    return report("expressions", counts)
