#!/usr/bin/env bash
# gpu_suite_test.sh PROGRAM: the suite over the emulator finds no failure and writes JSON that reads.
set -euo pipefail
out=$(mktemp)
trap 'rm -f "$out"' EXIT
"$1" --small --json "$out"
python3 - "$out" <<'PY'
import json, sys
report = json.load(open(sys.argv[1]))
assert report["failures"] == 0 and report["checks"] > 50, report
names = [t["name"] for t in report["timings"]]
for part in ("copy", "step tiny", "choose", "attention", "latent", "experts", "product"):
    assert any(name.startswith(part) for name in names), (part, names)
PY
# Without a GPU it says so.
if BUNDLE_EMULATED_GPUS=0 "$1" --small 2>"$out"; then
  echo "a machine without a GPU passed" >&2
  exit 1
fi
grep -q 'no GPU 0' "$out"
