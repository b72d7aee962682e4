#!/usr/bin/env bash
# Perplexity of cli/quality_text.txt against the reference programs, by hand: it needs minutes,
# llama.cpp, and a Python with torch and transformers.
#
#   tests/long/perplexity.sh MODEL.gguf HF_FOLDER
#
# HF_FOLDER holds the same model for transformers (tests/long/make_hf_folder.py MODEL.gguf HF_FOLDER).
# Prints our figure beside llama.cpp's on the GGUF, beside llama.cpp's on the same weights widened to
# F32, and beside transformers' on the folder; fails when one of the last two is over 0.5 % off.
# llama.cpp rounds activations to 8 bits where weights are quantized, which moves its own figure;
# widened weights leave that rounding out, so they are the yardstick and the first line is for
# information.
#
# Environment: LLAMA (folder of llama.cpp's programs; default: tests/bench/fetch-llama-cpp's), PYTHON
# (python3), BUILD (build/release), DEVICES ("reference", and the ISAs to measure; default:
# "reference avx2").
set -euo pipefail
[ $# = 2 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
cd "$(dirname "$0")/../.."
gguf=$1 folder=$2 text=cli/quality_text.txt context=512
measure=${BUILD:-build/release}/bin/measure_perplexity
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

field() { sed -n "s/.*\"$1\": *\([-+0-9.eE]*\).*/\1/p"; }

llama=${LLAMA:-$(tests/bench/fetch-llama-cpp)}
llama_perplexity() { # MODEL
  "$llama/llama-perplexity" -m "$1" -f "$text" -c $context 2>&1 | sed -n 's/.*PPL = \([0-9.]*\).*/\1/p'
}
echo "llama.cpp on $gguf, as it is and widened …" >&2
theirs_gguf=$(llama_perplexity "$gguf")
"$llama/llama-quantize" --allow-requantize "$gguf" "$work/widened.gguf" F32 >/dev/null 2>&1
theirs_widened=$(llama_perplexity "$work/widened.gguf")
echo "transformers on $folder …" >&2
theirs_folder=$("${PYTHON:-python3}" tests/long/perplexity_transformers.py \
  "$folder" "$text" $context "$work/ids.json" | field perplexity)

failed=0
compare() { # DEVICE MODEL REFERENCE THEIRS [informative]
  local ours
  ours=$("$measure" "$2" "$work/ids.json" $context "$1" | field perplexity)
  awk -v device="$1" -v reference="$3" -v ours="$ours" -v theirs="$4" -v judged="${5:-yes}" 'BEGIN {
    off = 100 * (ours / theirs - 1)
    bad = judged == "yes" && (off > 0.5 || off < -0.5)
    printf "%-10s ours %.4f   %-18s %.4f   %+.3f %%%s\n", device, ours, reference, theirs, off,
           bad ? "   TOO FAR" : ""
    exit bad
  }' || failed=1
}

for device in ${DEVICES:-reference avx2}; do
  compare "$device" "$gguf" llama.cpp "$theirs_gguf" informative
  compare "$device" "$gguf" "llama.cpp, widened" "$theirs_widened"
  compare "$device" "$folder" transformers "$theirs_folder"
done
exit $failed
