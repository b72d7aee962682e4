"""Compares our engine with Python's jinja2 on snippets: the first argument is our program."""
import random
import sys

try:
    import oracle_jinja
except ImportError as error:
    raise SystemExit(f"the oracle needs Python's jinja2: {error}. Install it, and point BUNDLE_ORACLE_PYTHON at its Python.")
import oracle_snippets


def main():
    program = sys.argv[1]
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 4000
    rng = random.Random(seed)
    bad = 0
    for name, templates in (
        ("expressions", oracle_snippets.expressions()),
        ("white space", oracle_snippets.whitespace(rng, count)),
        ("statements", oracle_snippets.statements(rng, count)),
    ):
        print(name, end=": ", flush=True)
        pairs = [(template, oracle_snippets.CONTEXT) for template in templates]
        bad += oracle_jinja.compare(program, pairs)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
