#!/usr/bin/env bash
# Schemathesis against a running server: requests made from /openapi.json, good and bad. No answer may
# be a 5xx, none undocumented, and every body must be of its schema.
#
#   bundle serve smollm2 --port 8000 &
#   tests/server/openapi_fuzz.sh http://127.0.0.1:8000 [EXAMPLES_A_ROUTE]
set -euo pipefail
url=${1:?usage: openapi_fuzz.sh URL [EXAMPLES]}
mkdir -p "$(dirname "$0")/../../build"
cd "$(dirname "$0")/../../build" # where it leaves its own files
venv=schemathesis-venv
[ -x "$venv/bin/schemathesis" ] || {
  python3 -m venv "$venv"
  "$venv/bin/pip" install -q schemathesis==4.32.0
} >&2
# Generated answers shall be short.
"$venv/bin/schemathesis" run "$url/openapi.json" --url "$url" --max-examples "${2:-50}" \
  --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
  --phases fuzzing --generation-deterministic --header "X-Request-Timeout-Ms: 3000"
