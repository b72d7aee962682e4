"""Template snippets: every operator, filter, test and method over values of every kind, and
statements put together at random from a seed."""
import itertools
import random

CONTEXT = {
    "t": True,
    "f": False,
    "n": None,
    "i": 7,
    "neg": -3,
    "zero": 0,
    "big": 12345678901234567890,
    "fl": 2.5,
    "nf": -0.125,
    "tiny": 1e-7,
    "huge": 1e22,
    "s": "Hello World",
    "e": "",
    "sp": "  a b\t c\n",
    "u": "Zürich ß 你好 😀 İΣ ΑΣ",
    "html": "<b>\"x\" & 'y'</b>",
    "num": " 42 ",
    "lines": "one\ntwo\r\n\nthree",
    "l": [3, 1, 2],
    "le": [],
    "ls": ["b", "A", "c", "a"],
    "lm": [1, "a", None],
    "ll": [[1, 2], [3], []],
    "d": {"b": 1, "a": "x", "items": 5},
    "de": {},
    "ld": [
        {"k": "x", "v": 1, "o": {"z": 2}},
        {"k": "y", "v": 3, "o": {"z": 1}},
        {"k": "X", "v": 2, "o": {}},
    ],
}
LAZY = "l|map('abs')"
NAMES = list(CONTEXT) + ["missing", "(1, 2)", "range(4)", "d.items()", "('a',)", LAZY]

FILTER_ARGUMENTS = {
    "abs": [""],
    "attr": ["('k')", "('upper')", "('items')"],
    "batch": ["(2)", "(2, 'x')", "(0)"],
    "capitalize": [""],
    "center": ["(20)", ""],
    "count": [""],
    "d": ["('x')", "", "('x', true)"],
    "default": ["(none)", "('y', boolean=true)"],
    "dictsort": ["", "(true)", "(false, 'value')", "(reverse=true)"],
    "e": [""],
    "filesizeformat": ["", "(true)"],
    "first": [""],
    "float": ["", "(1.5)"],
    "forceescape": [""],
    "format": ["", "(1)", "('a', 'b')", "(a=1)"],
    "groupby": ["('k')", "('o.z')", "('q', default='-')", "('k', case_sensitive=true)"],
    "indent": ["", "(2)", "(2, true)", "('> ', true, true)"],
    "int": ["", "(5)", "(0, 16)"],
    "items": [""],
    "join": ["", "(', ')", "('-', attribute='k')", "(1)"],
    "last": [""],
    "length": [""],
    "list": [""],
    "lower": [""],
    "map": ["('upper')", "(attribute='k')", "(attribute='q', default='-')", "('default', 3)", "()"],
    "max": ["", "(attribute='v')"],
    "min": ["", "(true)"],
    "reject": ["", "('none')"],
    "rejectattr": ["('k', 'equalto', 'x')", "('q')"],
    "replace": ["('l', 'L')", "('l', 'L', 1)", "('', '-')", "(1, 2)"],
    "reverse": [""],
    "round": ["", "(1)", "(1, 'floor')", "(-1)", "(2, 'ceil')", "(0, 'x')"],
    "safe": [""],
    "select": ["", "('string')", "('gt', 1)"],
    "selectattr": ["('k')", "('v', '>', 1)", "('o.z', 'defined')", "()"],
    "slice": ["(2)", "(2, 'x')"],
    "sort": ["", "(true)", "(case_sensitive=true)", "(attribute='v')", "(attribute='k,v')"],
    "string": [""],
    "striptags": [""],
    "sum": ["", "(attribute='v')", "(start=2)"],
    "title": [""],
    "tojson": [
        "",
        "(indent=2)",
        "(ensure_ascii=true)",
        "(sort_keys=true)",
        "(separators=(',', ':'))",
        "(indent=0)",
        "(indent='\\t', sort_keys=true)",
    ],
    "trim": ["", "('ad')"],
    "truncate": ["(5)", "(8, true)", "(9, false, '..', 0)", "(1)"],
    "unique": ["", "(true)", "(attribute='k')"],
    "upper": [""],
    "urlencode": [""],
    "wordcount": [""],
    "wordwrap": ["(5)", "(5, false)", "(4, true, '|')", "(7, break_on_hyphens=false)"],
    "xmlattr": ["", "(false)"],
}

TESTS = [
    "odd", "even", "divisibleby 3", "divisibleby(2)", "defined", "undefined", "filter", "test",
    "none", "boolean", "false", "true", "integer", "float", "lower", "upper", "string", "mapping",
    "number", "sequence", "iterable", "callable", "sameas none", "escaped", "in [1, 7, 'a', none]",
    "in 'Hello World'", "eq 7", "equalto('x')", "ne 7", "gt 1", "ge 2.5", "lt 8", "le 'b'",
    "greaterthan 0", "lessthan 0", "not none", "not in le",
]  # fmt: skip

STRING_METHODS = {
    "capitalize": ["()"],
    "casefold": ["()"],
    "center": ["(20)", "(21, '*')", "(5, 'ab')"],
    "count": ["('l')", "('')", "('l', 3)", "('l', -3, -1)", "(1)"],
    "endswith": ["('d')", "(('x', ' '))", "('World', 0, -1)", "(1)", "('')"],
    "expandtabs": ["()", "(4)"],
    "find": ["('o')", "('o', 5)", "('z')", "('', 3)", "('o', 9, 2)"],
    "format": ["()", "(1, a=2)"],
    "index": ["('o')", "('zz')"],
    "isalnum": ["()"],
    "isalpha": ["()"],
    "isascii": ["()"],
    "isdecimal": ["()"],
    "isdigit": ["()"],
    "isidentifier": ["()"],
    "islower": ["()"],
    "isnumeric": ["()"],
    "isprintable": ["()"],
    "isspace": ["()"],
    "istitle": ["()"],
    "isupper": ["()"],
    "join": ["(ls)", "(l)", "('abc')", "(missing)", "(d)"],
    "ljust": ["(15, '.')"],
    "lower": ["()"],
    "lstrip": ["()", "('H ')"],
    "partition": ["(' ')", "('zz')", "('')"],
    "removeprefix": ["('Hello')", "('x')"],
    "removesuffix": ["('World')", "('x')"],
    "replace": ["('o', '0')", "('o', '0', 1)", "('', '.')", "('o')", "('o', '0', -1)"],
    "rfind": ["('o')", "('o', 0, 6)"],
    "rindex": ["('o')"],
    "rjust": ["(15)"],
    "rpartition": ["(' ')", "('zz')"],
    "rsplit": ["()", "(' ', 1)", "(none, 1)", "(maxsplit=1)"],
    "rstrip": ["()", "('d\\n ')"],
    "split": ["()", "(' ')", "('o', 1)", "(none, 1)", "('')", "(sep='l')", "(none, 0)"],
    "splitlines": ["()", "(true)", "(keepends=true)"],
    "startswith": ["('H')", "(('x', '<'))", "('World', 6)", "('', 99)"],
    "strip": ["()", "(' Hd')", "(none)"],
    "swapcase": ["()"],
    "title": ["()"],
    "upper": ["()"],
    "zfill": ["(15)", "(2)"],
}
OTHER_METHODS = [
    "items()", "keys()", "values()", "get('a')", "get('z', 5)", "get()", "get([])", "copy()",
    "index(1)", "index(9)", "count(1)", "index(2, 1)", "append(1)", "pop()", "update({})",
    "clear()", "sort()", "setdefault('a', 1)", "bit_length()", "is_integer()", "real", "imag",
    "items", "b", "0", "1.z", "__class__", "_x", "insert", "extend([1])", "reverse()", "remove(1)",
]  # fmt: skip

PERCENT = [
    "%s", "%r", "%d", "%5d|", "%-5d|", "%05d", "%+d", "% d", "%x", "%#x", "%X", "%o", "%e", "%.2f",
    "%10.3f|", "%-10.1f|", "%010.2f", "%g", "%.3s", "%c", "%%", "%(b)s", "%i", "%5s|", "%-5s|",
    "%", "%y", "%*d", "no",
]  # fmt: skip
FORMAT_SPECS = [
    "", "d", "5", "<5", ">8", "^9", "*^9", "05", "+", "+d", " d", ",", "_", "x", "#x", "X", "b",
    "#b", "o", "c", "e", ".2f", "8.3f", "<8.3f", "g", ".3g", "%", ".1%", "s", ".2s", "10s", "=+6",
    "n", "z9", ".0f", "E", ",.2f", "!r", "!s", "!r:>12",
]  # fmt: skip
BINARY = [
    "+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in",
    "and", "or",
]  # fmt: skip
SUBSCRIPTS = [
    "0", "-1", "99", "'a'", "'upper'", "'items'", "none", "true", "1.5", "1:", ":2", "::2", "::-1",
    "-2:", "1:-1", "5:1:-2", ":99", "::0", "'a':", "none:2", "l", "(1, 2)", "-99:99:3", "::-2",
]  # fmt: skip


def is_comparable(template):
    """Leaves out what we do not have (integers over 128 bits, complex numbers, sets), and what
    Jinja answers otherwise when it can compute it beforehand."""
    left_out = ["big **", "neg **", "nf **", "** big", "* big", "big *", "- d.items()"]
    left_out += ["d.items() -", "d.items() <", "d.items() >"]
    if template.startswith("{{ ((") and "['a':]" in template:
        return False
    return not any(part in template for part in left_out)


def prints_address(name, name_of_filter):
    """A generator as text says where in memory it is."""
    numbers = ["batch", "first", "groupby", "items", "join", "list", "map", "max", "min", "reject"]
    numbers += ["reverse", "select", "slice", "sort", "sum", "unique", "rejectattr", "selectattr"]
    return name == LAZY and name_of_filter not in numbers


def expressions():
    return filter(is_comparable, all_expressions())


def all_expressions():
    for name in NAMES:
        yield "{{ " + name + " }}"
        yield "{{ [" + name + "] }}"
        yield "{{ -" + name + " }}{{ +" + name + " }}"
        yield "{{ not " + name + " }}{{ 'y' if " + name + " else 'n' }}"
        yield "{% for x in " + name + " %}{{ x }},{{ loop.length }};{% else %}none{% endfor %}"
        yield "{% set a, b = " + name + " %}{{ a }}|{{ b }}"
        for name_of_filter, arguments in FILTER_ARGUMENTS.items():
            for argument in [] if prints_address(name, name_of_filter) else arguments:
                call = f"{name}|{name_of_filter}{argument}"
                yield "{{ " + call + " }}"
                yield "{% for x in " + call + " %}[{{ x }}]{% endfor %}"
        for test in TESTS:
            yield "{{ " + name + " is " + test + " }}"
        for method in OTHER_METHODS:
            yield "{{ (" + name + ")." + method + " }}"
        for subscript in SUBSCRIPTS:
            yield "{{ (" + name + ")[" + subscript + "] }}"
        for spec in PERCENT:
            yield "{{ '" + spec + "' % " + name + " }}"
            yield "{{ '" + spec + "' % (" + name + ",) }}"
        for spec in FORMAT_SPECS:
            brace = spec if spec.startswith("!") else ":" + spec
            yield "{{ '{" + brace + "}'.format(" + name + ") }}"
    for name, method in itertools.product(
        ["s", "e", "sp", "u", "html", "num", "lines", "'ab-cd ef'", "'1'", "'Ab Cd'", "(html|e)"],
        STRING_METHODS,
    ):
        for argument in STRING_METHODS[method]:
            yield "{{ " + name + "." + method + argument + " }}"
            yield "{{ [" + name + "." + method + argument + "] }}"
    for left, right, operator in itertools.product(NAMES, NAMES, BINARY):
        yield "{{ " + left + " " + operator + " " + right + " }}"
    for first, second in itertools.product(["<", "==", "in", "not in", ">="], repeat=2):
        yield "{{ 1 " + first + " i " + second + " l }}{{ 'a' " + first + " s " + second + " ls }}"


TAGS = ["{% if t %}", "{% if f %}", "{%- if t %}", "{% if t -%}", "{%+ if t %}", "{% if t +%}"]
ENDS = ["{% endif %}", "{%- endif %}", "{% endif -%}", "{%+ endif +%}", "{%- endif -%}"]
SPACES = ["", " ", "\n", "\n  ", "  \n", "\n\n", " \n \n ", "x", " x ", "\r\n", "\t"]


def whitespace(rng, count):
    pieces = [
        "{{ s }}", "{{- s }}", "{{ s -}}", "{{+ s }}", "{# c #}", "{#- c -#}", "{# c #}\n",
        "{% raw %} {{ x }} {% endraw %}", "{%- raw -%} {% y %} {%- endraw -%}", "{%+ set x = 1 %}",
        "{% raw +%}", "{%raw%}\n a\n{%endraw%}\n", "{% set x %} b {% endset %}", "{#+ c +#}",
        "{% set q = 1 -%}", "{%- set q = 1 +%}", "{{ {'a': {'b': 1}}['a'] }}", "{{-5}}",
    ]  # fmt: skip
    for tag, end, first, second in itertools.product(TAGS, ENDS, SPACES, SPACES):
        yield first + tag + second + "y" + first + end + second
    for _ in range(count):
        yield "".join(rng.choice(rng.choice([pieces, SPACES])) for _ in range(rng.randint(1, 9)))


class StatementMaker:
    """Random statements over few names, so that scopes shadow each other."""

    VARIABLES = ["a", "b", "c", "ns.v", "loop", "m"]

    def __init__(self, rng):
        self.rng = rng

    def name(self):
        return self.rng.choice(["a", "b", "c", "s", "i", "missing"])

    def value(self):
        return self.rng.choice(
            [
                "1", "'x'", "a", "b", "c", "ns.v", "a ~ 1", "[a, b]", "loop.index", "loop.last",
                "m(a)", "m()", "caller()", "varargs", "kwargs", "loop.previtem", "loop.nextitem",
                "loop.cycle(1, 2)", "loop.changed(a)", "loop.revindex0", "loop.depth", "m2(b, c=1)",
                "loop(l)", "a if b", "b or c", "loop.length", "l|length",
            ]
        )  # fmt: skip

    def body(self, depth):
        count = self.rng.randint(1, 3)
        return "".join(self.statement(depth - 1) for _ in range(count))

    def statement(self, depth):
        kinds = ["print", "set", "text", "nset"]
        if depth > 0:
            kinds += [
                "if", "for", "forif", "forelse", "with", "setblock", "macro", "call", "filter",
                "recursive", "jump", "generation", "tuple", "block", "elif",
            ]  # fmt: skip
        return getattr(self, "make_" + self.rng.choice(kinds))(depth)

    def make_print(self, depth):
        return "{{ " + self.value() + " }};"

    def make_text(self, depth):
        return "t"

    def make_set(self, depth):
        return "{% set " + self.rng.choice("abc") + " = " + self.value() + " %}"

    def make_tuple(self, depth):
        return "{% set a, b = " + self.value() + ", " + self.value() + " %}"

    def make_nset(self, depth):
        return "{% set ns.v = " + self.value() + " %}"

    def make_if(self, depth):
        return "{% if " + self.value() + " %}" + self.body(depth) + "{% endif %}"

    def make_elif(self, depth):
        return (
            "{% if " + self.value() + " %}" + self.body(depth) + "{% elif " + self.value() + " %}"
            + self.body(depth) + "{% else %}" + self.body(depth) + "{% endif %}"
        )  # fmt: skip

    def make_for(self, depth):
        head = self.rng.choice(["a in l", "b in ls", "c in 'xy'", "a, b in d|items", "a in ll"])
        return "{% for " + head + " %}" + self.body(depth) + "{% endfor %}"

    def make_forif(self, depth):
        head = self.rng.choice(["a in l if a > 1", "b in ls if b != c", "a in l if loop is defined"])
        return "{% for " + head + " %}" + self.body(depth) + "{% endfor %}"

    def make_forelse(self, depth):
        head = self.rng.choice(["a in le", "a in l"])
        body = self.body(depth) + "{% else %}" + self.body(depth)
        return "{% for " + head + " %}" + body + "{% endfor %}"

    def make_recursive(self, depth):
        head = "a in " + self.rng.choice(["l", "ll"]) + " recursive"
        inner = "{% if loop.depth < 3 and a is iterable %}{{ loop(a) }}{% endif %}"
        return "{% for " + head + " %}" + self.body(depth) + inner + "{% endfor %}"

    def make_jump(self, depth):
        jump = "{% if loop.index == 2 %}{% " + self.rng.choice(["break", "continue"]) + " %}"
        return "{% for a in l %}" + self.body(depth) + jump + "{% endif %}{{ a }}{% endfor %}"

    def make_with(self, depth):
        head = "{% with a = " + self.value() + ", b = " + self.value() + " %}"
        return head + self.body(depth) + "{% endwith %}"

    def make_setblock(self, depth):
        end = self.rng.choice([" %}", "|upper %}", "|trim|length %}"])
        return "{% set " + self.rng.choice("abc") + end + self.body(depth) + "{% endset %}"

    def make_macro(self, depth):
        head = self.rng.choice(["m(a)", "m(a=c, b=a)", "m(*none)"[:2] + ")", "m2(x, c=b)", "m(b)"])
        return "{% macro " + head + " %}" + self.body(depth) + "{% endmacro %}"

    def make_call(self, depth):
        head = self.rng.choice(["call m(a)", "call(a) m(1)", "call m()", "call m2(1, 2)"])
        return "{% " + head + " %}" + self.body(depth) + "{% endcall %}"

    def make_filter(self, depth):
        return "{% filter upper %}" + self.body(depth) + "{% endfilter %}"

    def make_generation(self, depth):
        return "{% generation %}" + self.body(depth) + "{% endgeneration %}"

    def make_block(self, depth):
        name = "b" + str(self.rng.randint(0, 10**9))
        return "{% block " + name + " %}" + self.body(depth) + "{% endblock %}"

    def template(self):
        start = "{% set ns = namespace(v=0) %}{% macro m(a) %}<{{ a }}{{ caller() if caller }}>{% endmacro %}"
        return start + self.body(4)


def statements(rng, count):
    maker = StatementMaker(rng)
    for _ in range(count):
        yield maker.template()
