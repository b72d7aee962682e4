#!/usr/bin/env bash
# How fast packing is, beside copying the file and hashing it once (sha256), on the same disk; and what
# it takes in memory and bytes. Prints one line a figure; docs/comparison.md has them.
#   packaging.sh BIN_FOLDER MODEL.gguf [GIGABYTES]
# GIGABYTES of a sparse safetensors checkpoint measure memory (default 4; the issue's figure is 20).
set -euo pipefail
bundle=$1/bundle
model=$2
gigabytes=${3:-4}
folder=$(mktemp -d -p "${TMPDIR:-/var/tmp}")
trap 'rm -rf "$folder"' EXIT
export BUNDLE_HOME=$folder/home

seconds() { local start; start=$(date +%s.%N); "$@" >/dev/null 2>&1; echo "$(date +%s.%N) - $start" | bc; }
peak_kib() { /usr/bin/env python3 - "$@" <<'PYTHON'
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
PYTHON
}
copy_and_hash() { cp "$model" "$folder/copy" && sync "$folder/copy" && sha256sum "$folder/copy"; }

cat "$model" >/dev/null # into the page cache, for all
size=$(stat -c %s "$model")
echo "model bytes: $size"
echo "copy, sync and sha256sum: $(seconds copy_and_hash) s"
echo "first build: $(seconds "$bundle" build "$model" --name m) s"
touch "$folder/later" && sleep 2.1
echo "build again, nothing changed: $(seconds "$bundle" build "$model" --name m) s"
echo "store bytes: $(du -sb "$folder/home/store" | cut -f1)"
echo "export: $(seconds "$bundle" export m "$folder/m.tar") s"
echo "import: $(BUNDLE_HOME=$folder/other seconds "$bundle" import "$folder/m.tar") s"
echo "export as executable: $(seconds "$bundle" export m "$folder/m.run" --to executable) s"
echo "bytes that are not weights: $(($(stat -c %s "$folder/m.run") - size))"

python3 - "$folder/sparse" "$gigabytes" <<'PYTHON'
import json, os, struct, sys
folder, size = sys.argv[1], int(float(sys.argv[2]) * 1e9)
# A Llama whose embedding takes nearly all of the bytes.
hidden, layers, heads, inner = 1024, 1, 16, 1024
vocab = size // (2 * 2 * hidden)
os.makedirs(folder)
shapes = {"model.embed_tokens.weight": [vocab, hidden], "lm_head.weight": [vocab, hidden],
          "model.norm.weight": [hidden]}
for i in range(layers):
    p = f"model.layers.{i}."
    for n in "qkvo":
        shapes[f"{p}self_attn.{n}_proj.weight"] = [hidden, hidden]
    shapes |= {f"{p}mlp.gate_proj.weight": [inner, hidden], f"{p}mlp.up_proj.weight": [inner, hidden],
               f"{p}mlp.down_proj.weight": [hidden, inner], f"{p}input_layernorm.weight": [hidden],
               f"{p}post_attention_layernorm.weight": [hidden]}
header, at = {}, 0
for name, shape in shapes.items():
    end = at + 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
    header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, end]}
    at = end
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open(f"{folder}/model.safetensors", "wb") as out:
    out.write(struct.pack("<Q", len(text)) + text)
    out.truncate(8 + len(text) + at)
json.dump({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden,
           "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": heads,
           "intermediate_size": inner, "vocab_size": vocab, "max_position_embeddings": 4096,
           "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "torch_dtype": "bfloat16",
           "tie_word_embeddings": False, "hidden_act": "silu"}, open(f"{folder}/config.json", "w"))
PYTHON
echo "peak memory, build of $gigabytes GB: $(peak_kib "$bundle" build "$folder/sparse" --name sparse --no-runtime) KiB"
