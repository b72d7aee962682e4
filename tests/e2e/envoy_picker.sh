#!/usr/bin/env bash
# The endpoint picker against Envoy: envoy_picker.py with its interpreter and model.
#   envoy_picker.sh BIN_FOLDER SOURCE_FOLDER
# BUNDLE_PACKAGING_PYTHON is an interpreter that has Envoy (scripts/packaging-venv).
set -euo pipefail
here=$(dirname "$0")
. "$here/smollm2.sh"
exec "${BUNDLE_PACKAGING_PYTHON:-$2/build/packaging-venv/bin/python}" "$here/envoy_picker.py" "$1" "$model"
