"""Python's jinja2, set up as transformers sets it up, and our engine, side by side."""
import copy
import datetime
import json
import re
import subprocess

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox
import jinja2.utils

NOW = 1795468445  # 2026-11-23 21:14:05 UTC


class Generation(jinja2.ext.Extension):
    """{% generation %}: its body is a macro of its own, called on the spot."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("render_body")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def render_body(self, caller):
        return caller()


class Dict:
    def __call__(self, *args, **kwargs):
        return dict(*args, **kwargs)

    def fromkeys(self, *args, **kwargs):
        return dict.fromkeys(*args, **kwargs)


class Namespace(jinja2.utils.Namespace):
    def __init__(*args, **kwargs):  # so that an attribute can be called "self"
        attributes = dict(*args[1:], **kwargs)
        for name in attributes:
            Namespace.check(name)
        jinja2.utils.Namespace.__init__(args[0], attributes)

    def __setitem__(self, name, value):
        Namespace.check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def check(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(name)


def to_json(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(
        x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def strftime_now(format):
    return datetime.datetime.utcfromtimestamp(NOW).strftime(format)


def make_environment():
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = to_json
    environment.globals.update(
        raise_exception=raise_exception,
        strftime_now=strftime_now,
        dict=Dict(),
        namespace=Namespace,
    )
    return environment


ENVIRONMENT = make_environment()
# What prints an address, or text that Python's own version decides, can not be compared.
ADDRESS = re.compile(r" at 0x[0-9a-f]+>|<(class|function|built-in|generator|bound)|_reverseiterator")


def render_python(template, context):
    try:
        text = ENVIRONMENT.from_string(template).render(**copy.deepcopy(context))
        text.encode("utf-8")
        return {"text": text}
    except Exception as error:  # any exception is the template's failure
        return {"error": f"{type(error).__name__}: {error}"}


def render_ours(program, pairs):
    lines = [json.dumps({"template": t, "context": c, "now": NOW}) for t, c in pairs]
    run = subprocess.run(
        [program], input="\n".join(lines) + "\n", capture_output=True, text=True, check=False
    )
    answers = [json.loads(line) for line in run.stdout.split("\n") if line]
    if len(answers) != len(pairs):
        failed = pairs[len(answers)][0]
        raise SystemExit(f"the engine died ({run.returncode}) on {failed!r}\n{run.stderr[-4000:]}")
    return answers


def compare(program, pairs, show=400):
    """The number of pairs on which the two differ in text, or in whether there is an error."""
    bad = compared = 0
    for (template, context), ours in zip(pairs, render_ours(program, pairs)):
        theirs = render_python(template, context)
        if ADDRESS.search(theirs.get("text", "")):
            continue
        compared += 1
        if ("error" in theirs) == ("error" in ours) and theirs.get("text") == ours.get("text"):
            continue
        bad += 1
        if bad <= show:
            print(f"differs: {template!r}\n  jinja2 {theirs!r}\n  ours   {ours!r}")
    print(f"{compared} compared, {bad} differ")
    return bad
