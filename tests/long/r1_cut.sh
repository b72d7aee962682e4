#!/usr/bin/env bash
# DeepSeek-R1's shape, cut to few layers and experts, from a synthetic checkpoint to answers over
# HTTP, by hand: it needs minutes, 8 GB of disk and about 5 GB of memory.
#
#   tests/long/r1_cut.sh [WORK_FOLDER]
#
# Every width is the real one (hidden 7168, 128 heads, latent 512 + 64, experts of 2048, FP8 in blocks of
# 128x128); there are 3 layers instead of 61, 16 experts instead of 256, 32768 tokens in the
# vocabulary instead of 129280, and one prediction layer. Builds a bundle, serves it, and checks
# that the server answers, that answers repeat alone and in company, that guessing with the
# prediction layer changes none of them, and that all this fits its memory. Prints the figures.
#
# Environment: BUILD (build/release), MOST_GIB (24): what the server may take.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=$PWD/${BUILD:-build/release}/bin
most=${MOST_GIB:-24}
# A folder that was named stays, for the next run to find its checkpoint.
if [ $# -ge 1 ]; then work=$1 ours=; mkdir -p "$work"; else work=$(mktemp -d) ours=1; fi
export BUNDLE_HOME=$work/home
server=
finish() {
  [ -z "$server" ] || { kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
  [ -z "$ours" ] || rm -rf "$work"
}
trap finish EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }
now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f", b - a }'; }

cat >"$work/config.json" <<'JSON'
{"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "attention_bias": false,
 "bos_token_id": 0, "eos_token_id": 1, "hidden_act": "silu", "hidden_size": 7168,
 "intermediate_size": 18432, "moe_intermediate_size": 2048, "num_hidden_layers": 3,
 "first_k_dense_replace": 1, "moe_layer_freq": 1, "num_attention_heads": 128,
 "num_key_value_heads": 128, "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128,
 "qk_rope_head_dim": 64, "v_head_dim": 128, "n_routed_experts": 16, "n_shared_experts": 1,
 "num_experts_per_tok": 8, "n_group": 8, "topk_group": 4, "topk_method": "noaux_tc",
 "scoring_func": "sigmoid", "norm_topk_prob": true, "routed_scaling_factor": 2.5,
 "num_nextn_predict_layers": 1, "max_position_embeddings": 163840, "rms_norm_eps": 1e-06,
 "rope_theta": 10000, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 32768,
 "rope_scaling": {"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096,
                  "beta_fast": 32, "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0},
 "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
                         "weight_block_size": [128, 128]}}
JSON

if [ ! -f "$work/r1-cut/model.safetensors" ]; then
  start=$(now)
  "$bin/make_synthetic_checkpoint" "$work/config.json" "$work/r1-cut"
  echo "checkpoint written in $(since "$start") s"
fi
ls -l "$work/r1-cut/model.safetensors" | awk '{ printf "checkpoint: %.2f GB\n", $5 / 1e9 }'
start=$(now)
"$bin/bundle" build "$work/r1-cut" --name r1-cut --quiet | tail -1
echo "bundle built in $(since "$start") s"

start_server() { # SETTINGS…
  local arguments=()
  for setting in "$@"; do arguments+=(--set "$setting"); done
  start=$(now)
  "$bin/bundle" serve r1-cut --port 0 --set runtime.kv_tokens=8192 --set runtime.context_length=8192 \
    "${arguments[@]}" 2>"$work/server.log" &
  server=$!
  for _ in $(seq 3000); do
    url=$(sed -n 's/.*ready \(http[^ ]*\).*/\1/p' "$work/server.log" | head -1)
    [ -z "$url" ] || { echo "ready in $(since "$start") s ($*)"; return; }
    kill -0 "$server" 2>/dev/null || fail "the server ended: $(tail -5 "$work/server.log")"
    sleep 0.1
  done
  fail "the server was not ready in 300 s"
}
stop_server() { kill "$server"; wait "$server" 2>/dev/null || true; server=; }
# The server and its engine process.
memory_gib() {
  local total=0 pid
  for pid in $server $(pgrep -P "$server") $(pgrep -P "$(pgrep -P "$server" | head -1)" || true); do
    total=$((total + $(awk '/^VmHWM/ { print $2 }' "/proc/$pid/status" 2>/dev/null || echo 0)))
  done
  awk -v k="$total" 'BEGIN { printf "%.2f", k / 1048576 }'
}
ask() { # FIRST_TOKEN
  curl -sf "$url/v1/completions" -H 'Content-Type: application/json' -d "{\"model\": \"r1-cut\",
    \"prompt\": [$1, 17, 99, 1234, 8, 21, 5000, 17, 99, 1234], \"max_tokens\": 12, \"temperature\": 0,
    \"ignore_eos\": true, \"return_token_ids\": true}" |
    sed -n 's/.*"token_ids": *\[\([^]]*\)\].*/\1/p'
}

start_server runtime.speculation=off
alone=$(ask 3)
[ "$(tr ',' '\n' <<<"$alone" | wc -l)" = 12 ] || fail "no 12 tokens: $alone"
ask 4 >"$work/a" & pids=($!)
ask 5 >"$work/b" & pids+=($!)
crowd=$(ask 3)
wait "${pids[@]}"
[ "$alone" = "$crowd" ] || fail "company changes an answer: $alone / $crowd"
used=$(memory_gib)
echo "memory at its peak: $used GiB"
awk -v u="$used" -v m="$most" 'BEGIN { exit !(u < m) }' || fail "more than $most GiB"
stop_server

start_server runtime.speculation=mtp
drafted=$(ask 3)
[ "$alone" = "$drafted" ] || fail "guesses change an answer: $alone / $drafted"
curl -sf "$url/metrics" | grep -E '^vllm:spec_decode_num_(draft|accepted)_tokens_total'
stop_server

"$bin/bundle" bench r1-cut --prompt-tokens 64 --output-tokens 16 --repetitions 1 --output json
echo "r1 cut passed"
