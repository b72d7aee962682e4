#!/usr/bin/env bash
# The same model built under everything that must not matter gives one digest: another day, path, home,
# user, umask, locale, time zone, order of files in the folder, times of the files; quantized or not.
# `verify --rebuild` then proves it from the source, and sees a source that is another.
#   reproducible.sh BIN_FOLDER MAKE_GOLDEN_CHECKPOINT OTHER_DAY.so
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
fail() { echo "FAILED: $*" >&2; exit 1; }
# Where another user may read it: a checkout may lie in a home that is closed to others.
mkdir "$folder/bin"
cp "$1"/bundle "$1"/bundle-launcher "$1"/bundle-server "$folder/bin/"
bundle=$folder/bin/bundle

"$2" llama3_rope "$folder/model" >/dev/null
printf '{"chat_template": "{{ messages }}"}' >"$folder/model/tokenizer_config.json"
printf 'Do as you like.\n' >"$folder/model/LICENSE"
printf 'name: same\nlicense: MIT\nlabels: {b: "2", a: "1"}\n' >"$folder/model/bundle.yaml"

digest() { # SOURCE COMMAND…: the digest of a build in a store of its own, run by COMMAND
  local source=$1 home
  home=$(mktemp -d "$folder/home-XXXXXX")
  chmod 777 "$home"
  shift
  BUNDLE_HOME=$home "$@" "$bundle" build "$source" --no-report --quiet "${options[@]}" | tail -1
}
copy() { # SOURCE TARGET: the files one by one, last name first
  mkdir -p "$2"
  for file in $(ls -r "$1"); do cp "$1/$file" "$2/$file" && touch -d '1999-12-31 23:59:59' "$2/$file"; done
}
copy "$folder/model" "$folder/a folder/deep/er"
strict() { (umask 077 && "$@"); }
other_user() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }

builds=0
for options in "" "--quantize q4_k" "--quantize fp8"; do
  read -ra options <<<"$options" # now an array
  first=$(digest "$folder/model")
  [[ $first == sha256:* ]] || fail "no digest: $first"
  try() { # WHAT SOURCE COMMAND…
    local what=$1 found
    shift
    found=$(digest "$@")
    builds=$((builds + 1))
    [ "$found" = "$first" ] || fail "${options[*]} $what gives $found, not $first"
  }
  try "another path, order and time of the files" "$folder/a folder/deep/er"
  try "a relative path" . env -C "$folder/model"
  try "another umask" "$folder/model" strict
  try "another locale and time zone" "$folder/model" env LC_ALL=tr_TR.UTF-8 LANG=tr_TR.UTF-8 TZ=Pacific/Kiritimati
  try "another day" "$folder/model" env LD_PRELOAD="$3"
  try "nearly no environment" "$folder/model" env -i BUNDLE_HOME="$folder/bare" PATH="$PATH"
  try "one processor" "$folder/model" taskset -c 0
  if [ "$(id -u)" = 0 ]; then try "another user" "$folder/model" other_user; fi
done
[ "$(LD_PRELOAD=$3 date +%Y)" != "$(date +%Y)" ] || fail "the other day is this one"

export BUNDLE_HOME=$folder/home-rebuild
options=()
"$bundle" build "$folder/model" --quantize q4_0 --no-report --quiet >/dev/null
"$bundle" verify same --rebuild "$folder/a folder/deep/er" --quiet >/dev/null || fail "verify --rebuild"
printf 'Do as I like.\n' >"$folder/a folder/deep/er/LICENSE"
code=0
"$bundle" verify same --rebuild "$folder/a folder/deep/er" --quiet >/dev/null 2>&1 || code=$?
[ "$code" = 3 ] || fail "another source: exit code $code"
if [ "$(id -u)" != 0 ]; then echo "not tried: another user (this test is not run as root)"; fi
echo "passed: $builds builds beside the first ones"
