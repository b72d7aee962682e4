#!/bin/sh
# Runs one oracle script with the Python that has the reference libraries.
# usage: run_oracle.sh SCRIPT TOKENIZE_TOOL SOURCE_DIR
set -eu
here=$(dirname "$0")
python=${BUNDLE_ORACLE_PYTHON:-}
if [ -z "$python" ]; then
  echo "BUNDLE_ORACLE_PYTHON is not set: name a Python that has the packages of" \
    "tests/oracle/requirements.txt (scripts/test makes one)." >&2
  exit 1
fi
exec "$python" "$here/$1" "$2" "${BUNDLE_MODEL_DATA:-$3/build/model-data}"
