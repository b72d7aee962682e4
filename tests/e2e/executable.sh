#!/usr/bin/env bash
# A bundle as one file: copied alone into an empty folder and run with an empty environment, it
# answers; so does the image's file system alone, under chroot where that is allowed.
#   executable.sh BIN_FOLDER SOURCE_FOLDER
set -euo pipefail
. "$(dirname "$0")/smollm2.sh"

folder=$(mktemp -d)
export BUNDLE_HOME=$folder/home
server=
finish() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  [ -z "$server" ] || wait "$server" 2>/dev/null || true
  umount "$folder/root/proc" 2>/dev/null || true
  rm -rf "$folder" "/tmp/bundle-$(id -u)/$key" 2>/dev/null || true
}
key=none
trap finish EXIT
fail() { echo "FAILED: $*" >&2; [ ! -f "$folder/log" ] || tail -20 "$folder/log" >&2; exit 1; }

# Waits for "ready http://…" in the log and asks the model of that name.
ask() {
  local url= answer
  for _ in $(seq 600); do
    url=$(sed -n 's/^.*ready \(http:[^ ]*\).*$/\1/p' "$folder/log" | head -1)
    [ -z "$url" ] || break
    kill -0 "$server" 2>/dev/null || fail "the server ended"
    sleep 0.1
  done
  [ -n "$url" ] || fail "the server is not ready"
  answer=$(curl -sf "$url/v1/chat/completions" -H 'Content-Type: application/json' -d \
    '{"model":"'"$1"'","temperature":0,"max_tokens":24,"messages":[{"role":"user","content":"What is the capital of France?"}]}')
  [[ $answer == *Paris* ]] || fail "the answer does not name Paris: $answer"
  kill "$server" && wait "$server" 2>/dev/null || true
  server=
}

"$bundle" build "$model" --name smollm2 --quiet >/dev/null
"$bundle" export smollm2 "$folder/smollm2-server" --to executable --quiet >/dev/null
key=$(tail -c 64 "$folder/smollm2-server" | head -c 40 | tail -c 24)
mkdir "$folder/empty"
mv "$folder/smollm2-server" "$folder/empty/"
rm -rf "$BUNDLE_HOME"
(cd "$folder/empty" && exec env -i ./smollm2-server --port 0 2>"$folder/log") &
server=$!
ask smollm2
[ "$(ls "$folder/empty")" = smollm2-server ] || fail "it left something in its folder"
echo "from an empty folder with an empty environment: passed"

# The image's file system, with nothing else in it.
if [ "$(id -u)" = 0 ] && chroot / /bin/true 2>/dev/null; then
  "$bundle" build "$model" --name smollm2 --shell /bin/busybox --quiet >/dev/null
  "$bundle" verify smollm2 --rebuild "$model" --quiet >/dev/null || fail "the shell is not rebuilt"
  "$bundle" inspect smollm2 --output json >"$folder/before"
  "$bundle" upgrade smollm2 --quiet >/dev/null
  "$bundle" inspect smollm2 --output json >"$folder/after"
  cmp "$folder/before" "$folder/after" || fail "an upgrade to the same server changed the bundle with a shell"
  mkdir "$folder/root"
  for layer in $("$bundle" inspect smollm2 --output json |
    grep -o '"digest": *"sha256:[0-9a-f]*"' | grep -o '[0-9a-f]\{64\}' | sort -u); do
    blob=$BUNDLE_HOME/store/blobs/sha256/$layer
    ! tar -tf "$blob" >/dev/null 2>&1 || tar -C "$folder/root" -xf "$blob"
  done
  mkdir -p "$folder/root/proc" "$folder/root/dev" "$folder/root/tmp"
  mount -t proc proc "$folder/root/proc" 2>/dev/null || true
  (exec env -i "$(command -v chroot)" "$folder/root" /runtime/lib/ld-linux-x86-64.so.2 --library-path /runtime/lib \
    /runtime/bin/bundle-server --launch /bundle/launch.json --host 127.0.0.1 --port 0 2>"$folder/log") &
  server=$!
  ask "$(sed -n 's/.*"name": *"\([^"]*\)".*/\1/p' "$folder/root/bundle/launch.json" | head -1)"
  # As KServe starts a modelcar: in its own shell, which shows the weights to the other container.
  env -i "$(command -v chroot)" "$folder/root" sh -c \
    'ln -sf /proc/$$/root/models /tmp/models && sleep 0 && ls /tmp/models/ >/tmp/seen'
  grep -q 'gguf$' "$folder/root/tmp/seen" || fail "a modelcar's shell does not see the weights"
  umount "$folder/root/proc" 2>/dev/null || true
  echo "from a file system that holds the image alone: passed"
else
  echo "from a file system that holds the image alone: NOT TRIED, it needs root and chroot"
fi
echo "executable passed"
