"""`elenchus tokenize --chat --render` against transformers' own rendering of published chat templates."""
import json
import pathlib
import re
import tarfile
import tempfile
import zipfile

import compare_text
from elenchus_tokenize import report, tokenize
from tokenizer_forms import Forms, corpus

GEMMA2 = ("{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
          "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
          "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
          "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}"
          "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
          "{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}")
ZEPHYR = ("{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n"
          "{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n"
          "{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n"
          "{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}")
CHATML = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
          "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
# Qwen 2 and SmolLM2: ChatML with a system turn of their own where a conversation has none.
WITH_SYSTEM = CHATML.replace("%}{{'", "%}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n@<|im_end|>\n' }}{% endif %}{{'", 1)
QWEN2 = WITH_SYSTEM.replace("@", "You are a helpful assistant.")
SMOLLM2 = WITH_SYSTEM.replace("@", "You are a helpful AI assistant named SmolLM, trained by Hugging Face")


def of_cpp(source):
    """The templates of llama.cpp's own test, by the names that stand before them: Llama 2, Mistral v1 to v7, Phi 3 and 4, Granite 3, ..."""
    out = {}
    literal = r'(?:U8C\()?((?:u8)?"(?:[^"\\]|\\.)*"(?:\s*"(?:[^"\\]|\\.)*")*)'
    for name, text in re.findall(r'/\* \.name= \*/ "([^"]*)",\s*/\* \.template_str= \*/ ' + literal, source):
        pieces = re.findall(r'"((?:[^"\\]|\\.)*)"', text)
        out["llama.cpp test/" + name] = re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), "".join(pieces))
    return out


def templates(options):
    """Published templates by name: written above, of the real tokenizers, and of the packages."""
    out = {"gemma-2": GEMMA2, "zephyr": ZEPHYR, "chatml": CHATML, "qwen-2": QWEN2, "smollm2": SMOLLM2}
    for path in sorted(options.shared.glob("tokenizers/*/tokenizer_config.json")):
        template = json.loads(path.read_text()).get("chat_template")
        if isinstance(template, str):
            out["shared/" + path.parent.name] = template
    source = compare_text.download(options.packages, "llama-cpp-python==0.3.36", "--no-binary", "llama-cpp-python")
    with tarfile.open(source) as files:
        for file in files:
            path = pathlib.PurePath(file.name)
            if path.match("llama.cpp/models/templates/*.jinja"):
                out["llama.cpp/" + path.stem] = files.extractfile(file).read().decode()
            if path.match("llama.cpp/tests/test-chat-template.cpp"):
                out.update(of_cpp(files.extractfile(file).read().decode()))
    for package, version in [("trl", "1.16.0"), ("axolotl", "0.19.0")]:
        with zipfile.ZipFile(compare_text.download(options.packages, f"{package}=={version}")) as files:
            for name in files.namelist():
                if name.endswith(".jinja"):
                    out[f"{package}/{pathlib.PurePath(name).stem}"] = files.read(name).decode()
    return out


TEXTS = ["Hi", "", " \n", "  leading and trailing  ", "two\nlines\n", "\n\nline", "“Größe” 吾輩は猫である。🙂", "{{ x }} {% y %} <|im_end|> </s>",
         "a\tb \\n \"quoted\" 'single' & <tag>", "```python\nprint(1)\n```"]
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "Gets the \"weather\".\nOf a place.", "parameters": {
        "type": "object", "properties": {"city": {"type": "string", "description": "Name é"}, "days": {"type": "integer", "enum": [1, 2.5, None, True]}},
        "required": ["city"]}}},
    {"type": "function", "function": {"name": "now", "description": "", "parameters": {"type": "object", "properties": {}}}},
]
CALL = {"role": "assistant", "content": "", "tool_calls": [
    {"type": "function", "id": "call_0001", "function": {"name": "get_weather", "arguments": {"city": "東京", "days": 2}}}]}


def conversations():
    """Cases of variables for a template: at least 40 conversations, each with and without a generation prompt."""
    def user(text):
        return {"role": "user", "content": text}

    def assistant(text):
        return {"role": "assistant", "content": text}

    def system(text):
        return {"role": "system", "content": text}
    chats = []
    for i, text in enumerate(TEXTS):
        other = TEXTS[(i + 3) % len(TEXTS)]
        chats += [[user(text)], [user(text), assistant(other)], [system(text), user(other)],
                  [system(other), user(text), assistant(text), user(other), assistant("ok")]]
    chats += [[user(str(i)) if i % 2 == 0 else assistant(f"<think>\nwhy {i}\n</think>\n\nanswer {i}") for i in range(n)] for n in (2, 5, 8)]
    chats += [[user("a"), user("b")], [assistant("first")], [user("a"), assistant("b"), assistant("c")], [], [system("only")],
              [user("a"), system("late"), assistant("b")], [{"role": "developer", "content": "d"}, user("a")], [{"role": "narrator", "content": "d"}],
              [user([{"type": "text", "text": "part 1"}, {"type": "text", "text": "part 2"}])], [user(None)], [{"role": "user"}],
              [user("a"), {"role": "assistant", "content": "b", "reasoning_content": "because"}, user("c")],
              [user("w"), CALL, {"role": "tool", "name": "get_weather", "tool_call_id": "call_0001", "content": "{\"t\": 21.5}"}, assistant("warm")],
              [system("s"), user("w"), CALL, {"role": "tool", "name": "get_weather", "tool_call_id": "call_0001", "content": "21"}]]
    cases = [{"messages": chat, "add_generation_prompt": prompt} for chat in chats for prompt in (False, True)]
    cases += [{"messages": chat, "add_generation_prompt": True, "tools": TOOLS} for chat in chats[:4] + chats[-14:]]
    cases += [{"messages": [user("q"), assistant("a"), user("r")], "add_generation_prompt": True, **extra} for extra in
              ({"enable_thinking": False}, {"enable_thinking": True}, {"thinking": True}, {"date_string": "1 May 2024"}, {"custom_tools": TOOLS})]
    return cases


def theirs(template, cases):
    """What transformers renders; the text of raise_exception, or None for any other error."""
    from jinja2.exceptions import TemplateError
    from transformers.utils.chat_template_utils import _compile_jinja_template
    try:
        compiled = _compile_jinja_template(template)
    except TemplateError as error:
        return None, str(error)
    out = []
    for case in cases:
        try:
            text = compiled.render(**{"tools": None, "documents": None, "bos_token": "<s>", "eos_token": "</s>", **case})
            out.append(("text", text))
        except TemplateError as error:
            out.append(("refused", str(error)) if type(error) is TemplateError else ("error", None))
        except Exception:
            out.append(("error", None))
    return out, None


def run(options):
    cases = conversations()
    tokenizer = Forms(corpus(), 340).gpt2().to_str()
    counts = {"renderings": [0, 0], "of them texts": [0, 0], "refusals by raise_exception": [0, 0], "errors": [0, 0]}
    names = {"text": "of them texts", "refused": "refusals by raise_exception", "error": "errors"}
    done = 0
    for name, template in templates(options).items():
        if options.only not in name:
            continue
        wanted, syntax_error = theirs(template, cases)
        if wanted is None:
            print(f"  {name}: transformers itself cannot compile it: {syntax_error}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder)
            (path / "tokenizer.json").write_text(tokenizer)
            (path / "chat_template.jinja").write_bytes(template.encode())
            (path / "tokenizer_config.json").write_text('{"bos_token": "<s>", "eos_token": "</s>"}')
            try:
                ours = tokenize(options.build, path, cases, "--chat", "--render")
            except Exception as error:
                print(f"  {name}: not rendered: {error}")
                counts["renderings"][1] += len(cases)
                continue
        done += 1
        bad = 0
        for case, (kind, text), got in zip(cases, wanted, ours, strict=True):
            same = got == text if kind == "text" else isinstance(got, dict) and (kind == "error" or got["error"] == text)
            for key in ("renderings", names[kind]):
                counts[key][0] += 1
                counts[key][1] += not same
            bad += not same
            if not same and bad <= 2:
                print(f"  {name}: {json.dumps(case, ensure_ascii=False)[:300]}\n    ours   {got!r:.500}\n    theirs {kind} {text!r:.500}")
    print(f"{done} templates, {len(cases)} cases each")
    return report("templates", {key: tuple(value) for key, value in counts.items() if key == "renderings"} |
                  {key: tuple(value) for key, value in counts.items() if key != "renderings"}) and counts["renderings"][1]
