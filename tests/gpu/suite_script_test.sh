#!/usr/bin/env bash
# suite_script_test.sh SOURCE BINARY: scripts/gpu-suite as on a GPU machine without a compiler, from
# programs built beforehand; the emulator plays the GPU, and a script compute-sanitizer.
set -euo pipefail
source=$1 binary=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{bin,scripts,tests,build/gpu-suite/golden}
cp "$source/scripts/gpu-suite" "$work/scripts/"
ln -s "$source/tests/golden" "$work/tests/golden"
suite=$work/build/gpu-suite

# Nothing is built yet: it says what to do.
code=0
NVCC='' "$work/scripts/gpu-suite" 2>"$work/said" || code=$?
[ $code = 4 ] && grep -q -- '--build-only' "$work/said"

cat >"$suite/gpu_suite" <<EOF
#!/bin/sh
exec "$binary/tests/gpu_suite_emulated" --small --only rows "\$@"
EOF
cat >"$work/bin/compute-sanitizer" <<'EOF'
#!/bin/sh
while [ "${1#--}" != "$1" ]; do shift 2; done
exec "$@"
EOF
chmod +x "$suite/gpu_suite" "$work/bin/compute-sanitizer"
cp "$binary/tests/golden_on_gpu" "$suite/golden/"
for library in $(ldd "$binary/tests/golden_on_gpu" | grep -o '/[^ ]*'); do
  cp -L "$library" "$suite/golden/"
done
cp "$binary/tests/libbundle_cuda_emulated.so" "$suite/libbundle_cuda.so"

run() {
  NVCC='' PATH=$work/bin:$PATH BUNDLE_CUDA_DRIVER_DIR=$binary/tests/emulated_driver \
    BUNDLE_GOLDEN_MOST_TOKENS=1 GTEST_FILTER='*llama_tied_gpu' "$work/scripts/gpu-suite" "$@"
}
run --out "$work/out" >"$work/said" || { cat "$work/said"; exit 1; }
grep -q 'passed, results' "$work/said"
grep -q '0 failed' "$work/out/table.txt"
grep -q 'PASSED' "$work/out/golden.log"
python3 -c 'import json, sys; assert json.load(open(sys.argv[1]))["failures"] == 0' "$work/out/result.json"
for tool in memcheck racecheck initcheck synccheck; do grep -q '0 failed' "$work/out/$tool.log"; done

# What there is no time for is said, and is no success.
if run --out "$work/late" --seconds 5 >"$work/said" 2>&1; then
  echo "a suite without time passed" >&2
  exit 1
fi
grep -q 'no time left' "$work/said" && grep -q 'FAILED' "$work/said"
