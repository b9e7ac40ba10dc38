#!/usr/bin/env python3
"""Renders the templates of templates/*.json with Jinja and writes what they give beside them.

Each file holds "messages", "tools" and "cases"; a case has a "template", perhaps its own "messages", and gets "text",
"refused" (raise_exception) or "error". Jinja is set up as transformers does it for chat templates.

Needs: pip install jinja2==3.1.6
"""
import datetime
import json
import pathlib

import jinja2
import jinja2.ext
import jinja2.sandbox

NOW = 1721779200


class Refused(Exception):
    pass


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("body"), [], [], body).set_lineno(line)

    def body(self, caller):
        return caller()


def refuse(message):
    raise Refused(message)


def strftime_now(form):
    return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).strftime(form)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


jinja = jinja2.sandbox.ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
jinja.filters["tojson"] = tojson
jinja.globals.update(raise_exception=refuse, strftime_now=strftime_now)

for path in sorted(pathlib.Path(__file__).with_name("templates").glob("*.json")):
    golden = json.loads(path.read_text())
    for case in golden["cases"]:
        for key in ("text", "refused", "error"):
            case.pop(key, None)
        try:
            case["text"] = jinja.from_string(case.get("template", golden.get("template"))).render(
                messages=case.get("messages", golden.get("messages")), tools=golden.get("tools"), documents=None,
                add_generation_prompt=True, bos_token="<s>", eos_token="</s>")
        except Refused as refusal:
            case["refused"] = str(refusal)
        except Exception as error:
            case["error"] = type(error).__name__
    path.write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n")
