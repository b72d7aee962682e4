#!/usr/bin/env bash
# `bundle init` of a distill, a model of its architecture in the place that the template names, and
# `bundle build`: the bundle knows its licence, and its prompts begin as the model card asks.
#   init_flow.sh BIN_FOLDER MAKE_GOLDEN_CHECKPOINT
set -euo pipefail
bundle=$1/bundle
make_checkpoint=$2
BUNDLE_HOME=$(mktemp -d)
export BUNDLE_HOME
trap 'rm -rf "$BUNDLE_HOME"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }
# Reads all of it: what writes into `grep -q` fails when that has seen enough.
has() { grep "$@" >/dev/null; }

# R1's template as it was first published: it leaves the tag to whoever serves it.
template='{{ bos_token }}{% for m in messages %}{% set c = m.content %}{% if m.role == "user" %}<｜User｜>{{ c }}{% else %}{% if "</think>" in c %}{% set c = c.split("</think>")[-1] %}{% endif %}<｜Assistant｜>{{ c }}<｜end▁of▁sentence｜>{% endif %}{% endfor %}{% if add_generation_prompt %}<｜Assistant｜>{% endif %}'

start() { # NAME GOLDEN FOLDER
  dir=$BUNDLE_HOME/$1
  "$bundle" init "$1" --dir "$dir" --quiet >/dev/null
  "$make_checkpoint" "$2" "$dir/$3"
  # The model in its place was made for 2048 positions.
  sed -i '/^ *context_length:/d' "$dir/bundle.yaml"
  printf '%s' "$template" >"$dir/$3/chat_template.jinja"
  "$bundle" build "$dir" --quiet >/dev/null
}

start deepseek-r1-distill-qwen-1.5b qwen2_bias DeepSeek-R1-Distill-Qwen-1.5B
start deepseek-r1-distill-llama-8b llama3_rope DeepSeek-R1-Distill-Llama-8B

question='{"messages": [{"role": "user", "content": "1+1?"}]}'
for name in deepseek-r1-distill-qwen-1.5b deepseek-r1-distill-llama-8b; do
  prompt=$("$bundle" prompt $name <<<"$question" && echo .)
  [ "$prompt" = $'<｜User｜>1+1?<｜Assistant｜><think>\n.' ] || fail "the prompt of $name is '$prompt'"
  "$bundle" inspect $name --output json | has '"MIT AND ' || fail "$name lacks its licence"
done
off='{"messages": [{"role": "user", "content": "1+1?"}], "reasoning_effort": "none"}'
prompt=$("$bundle" prompt deepseek-r1-distill-llama-8b <<<"$off")
[ "$prompt" = '<｜User｜>1+1?<｜Assistant｜>' ] || fail "without thinking the prompt is '$prompt'"

code=0
said=$("$bundle" init deepseek-r2 --dir "$BUNDLE_HOME/x" 2>&1) || code=$?
[ "$code" = 4 ] || fail "an unknown name gave exit code $code"
[[ $said == *"Did you mean 'deepseek-r1'"* ]] || fail "no nearest name: $said"
echo "init flow passed"
