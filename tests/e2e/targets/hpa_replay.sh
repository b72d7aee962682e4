#!/usr/bin/env bash
# The simulated horizontal pod autoscaler against the real one of Kubernetes 1.20: both scale the same
# load with the same settings, the real one at 15 times the speed. Its HPA is what `bundle deploy` renders,
# all its times divided by 15, and the metric that it reads comes from the simulator's model of as many
# replicas as the cluster has ready pods. Says for which share of the time the two have the same number of
# replicas, or one more or less, and wants 95 % where the simulated one looks at the moments at which the
# real one did; on a clock of its own it sees other samples of a bursty load.
# Needs root, `scripts/setup --dev --targets`, the test program hpa_replay in BIN_FOLDER/../tests, and
# build-kubernetes' programs in CLUSTER_BIN (build/kubernetes). About ten minutes. Not part of the default
# run.
#   tests/e2e/targets/hpa_replay.sh BIN_FOLDER SOURCE_FOLDER [LOAD…]      loads: conversation, flash, onoff
set -euo pipefail
program=$(realpath "$1/../tests/hpa_replay")
source=$(realpath "$2")
[ "$(id -u)" = 0 ] || { echo "needs root" >&2; exit 1; }
CLUSTER_BIN=${CLUSTER_BIN:-$source/build/kubernetes}
[ -e "$CLUSTER_BIN/bin/.complete" ] || "$(dirname "$0")/build-kubernetes" "$CLUSTER_BIN"
CLUSTER_WORK=${CLUSTER_WORK:-$(mktemp -d /tmp/bdh.XXXX)}
export CLUSTER_WORK CLUSTER_BIN
. "$(dirname "$0")/cluster.sh"
cluster_enter "$@"
shift 2
[ $# -gt 0 ] || set -- conversation flash

driver=$(dirname "$0")/hpa_replay.py
speed=15
CLUSTER_HPA_SYNC=1s
W=$CLUSTER_WORK
OUT=${OUT:-$W}
finish() {
  cluster_stop
  [ -n "${KEEP:-}" ] || rm -rf "$W" 2>/dev/null || true
}
trap finish EXIT
step() { echo "== $* (${SECONDS}s)"; }

profile='"profile": {"prefill_tokens_per_second": 15928, "step_ms": 14, "step_ms_per_sequence": 0.3,
  "kv_tokens": 350000, "startup_seconds": 30}'
# The conversation's are what `bundle simulate --policy hpa` recommends for it (docs/simulate.md).
run_of() {
  case $1 in
    conversation)
      echo "{$profile, $(settings_of 4 9 52), \"minutes\": 58, \"multiply\": 4,
        \"trace\": \"${TRACE:-$source/tests/cloud/data/azure_conversation.csv}\"}" ;;
    flash) echo "{$profile, $(settings_of 3 12 40), \"minutes\": 60, \"shape\": \"flash\", \"rate\": 4}" ;;
    onoff) echo "{$profile, $(settings_of 3 12 40), \"minutes\": 60, \"shape\": \"onoff\", \"rate\": 30}" ;;
    *) echo "no such load: $1" >&2; return 1 ;;
  esac
}

settings_of() { # LEAST MOST TARGET
  echo "\"min_replicas\": $1, \"max_replicas\": $2, \"target\": $3, \"scale_up_delay_seconds\": 0,
    \"scale_down_delay_seconds\": 300"
}

replay() { # LOAD
  local out=$OUT/$1 run=$OUT/$1/run.json least
  mkdir -p "$out"
  run_of "$1" >"$run"
  least=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["min_replicas"])' "$run")
  kubectl create -f - >/dev/null <<CONF
{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "replay", "namespace": "default"},
 "spec": {"replicas": $least, "selector": {"matchLabels": {"app": "replay"}}, "template": {
  "metadata": {"labels": {"app": "replay"}}, "spec": {"containers": [{"name": "none", "image": "none"}]}}}}
CONF
  "$program" manifest "$run" | "$driver" faster $speed >"$out/hpa.yaml"
  "$driver" replay "$program" "$run" $speed "$out" $cluster_address 16500 "$W/pki/front.crt" \
    "$W/pki/front.key" >"$out/log" 2>&1 &
  local replayer=$!
  cluster_metric_service
  cluster_wait 60 "pods" sh -c "[ \$(kubectl get deployment replay -o 'jsonpath={.status.readyReplicas}') = $least ]"
  kubectl create -f "$out/hpa.yaml" >/dev/null
  wait $replayer || { tail -3 "$out/log" >&2; return 1; }
  kubectl delete hpa/replay deployment/replay --wait >/dev/null
  "$program" simulate "$run" >"$out/simulated"
  "$program" simulate "$run" "$out/decisions" >"$out/same_moments"
}

step "the API and its controllers"
cluster_api_only
failed=0
for load; do
  step "$load"
  replay "$load"
  echo "  on clocks of their own:"
  "$driver" compare "$OUT/$load/real" "$OUT/$load/simulated" 0
  echo "  looking at the same moments:"
  "$driver" compare "$OUT/$load/real" "$OUT/$load/same_moments" 95 || failed=1
  "$program" decide "$OUT/$load/run.json" "$OUT/$load/real" "$OUT/$load/decisions" || failed=1
done
[ $failed = 0 ] || { echo "FAILED: the series differ" >&2; exit 1; }
echo "hpa_replay passed (${SECONDS}s)"
