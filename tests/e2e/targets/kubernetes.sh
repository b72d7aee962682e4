#!/usr/bin/env bash
# SmolLM2 on a real Kubernetes 1.20, whose control plane, kubelet and containerd run here: plan, deploy,
# chat, logs, nothing to change, hostile values, update with streams open, a killed pod, a broken revision,
# rollback, a drained-off pod budget, verify, to none and back, scaling up by load and down again, one model
# over two pods, delete.
# Needs root, `scripts/setup --dev --targets`, and build-kubernetes' programs in CLUSTER_BIN
# (build/kubernetes). About nine minutes. Not part of the default run.
#   tests/e2e/targets/kubernetes.sh BIN_FOLDER SOURCE_FOLDER
set -euo pipefail
source=$2
. "$(dirname "$0")/../smollm2.sh"
[ "$(id -u)" = 0 ] || { echo "needs root" >&2; exit 1; }
CLUSTER_BIN=${CLUSTER_BIN:-$source/build/kubernetes}
[ -e "$CLUSTER_BIN/bin/.complete" ] || "$(dirname "$0")/build-kubernetes" "$CLUSTER_BIN"
CLUSTER_WORK=${CLUSTER_WORK:-$(mktemp -d /tmp/bdk.XXXX)}
export CLUSTER_WORK CLUSTER_BIN
. "$(dirname "$0")/cluster.sh"
cluster_enter "$@"

export BUNDLE_HOME=$CLUSTER_WORK/home
W=$CLUSTER_WORK
finish() {
  cluster_stop
  [ -n "${KEEP:-}" ] || rm -rf "$W" 2>/dev/null || true
}
trap finish EXIT
fail() {
  echo "FAILED: $*" >&2
  kubectl get pods,hpa -A -o wide >&2 || true
  kubectl get events -A --sort-by=.lastTimestamp 2>/dev/null | tail -8 >&2 || true
  exit 1
}
step() { echo "== $* (${SECONDS}s)"; }
deploy() { "$bundle" deploy -f "$W/d.yaml" --quiet "$@"; }
status() { "$bundle" status prod --quiet --output json "$@"; }
field() { python3 -c 'import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1].split("."): value = value[int(key) if key.isdigit() else key]
print(value)' "$1"; }
pods() { kubectl get pods -n llm -l app.kubernetes.io/instance=prod "$@"; }
# A pod that the Service sends requests to: one that ends still counts as running for a while.
address() { kubectl get endpoints prod -n llm -o 'jsonpath={.subsets[0].addresses[0].ip}'; }
ask() { # [ADDRESS]
  curl -sf --max-time 60 "http://${1:-$(address)}:8000/v1/chat/completions" -H 'Content-Type: application/json' -d \
    '{"model":"smollm2","temperature":0,"max_tokens":16,"messages":[{"role":"user","content":"What is the capital of France?"}]}'
}
replicas() { kubectl get deployment prod -n llm -o 'jsonpath={.status.readyReplicas}'; }
has_replicas() { [ "$(replicas)" = "$1" ]; }

step "a cluster of one machine"
cluster_start
kubectl create namespace llm >/dev/null
"$bundle" build "$model" --name smollm2 --quiet >/dev/null
"$bundle" push smollm2 "$CLUSTER_REGISTRY/llm/smollm2:1" --plain-http --quiet >/dev/null
digest=$("$bundle" inspect smollm2 --output json | field digest)
cat >"$W/d.yaml" <<YAML
name: prod
target: kubernetes
bundle: smollm2
replicas: 2
drain_seconds: 60
env:
  HOSTILE: "a b'c\"d\$HOME %h \\\\ \`x\` \$(touch /tmp/owned) {{x}} \$(HOME)"
resources: {gpu: 1, gpu_type: NVIDIA-H200, memory: 1Gi}
runtime: {context_length: 1024, threads: 1}
kubernetes:
  image: $CLUSTER_REGISTRY/llm/smollm2@$digest
  namespace: llm
YAML

step "plan and deploy"
deploy --plan >"$W/plan"
has "create Deployment prod" <"$W/plan" || fail "the plan lacks the Deployment: $(cat "$W/plan")"
[ -z "$(pods -o name)" ] || fail "a plan made pods"
deploy --yes >/dev/null
[ "$(status | field state)" = running ] || fail "it does not run: $(status)"
deploy --yes >"$W/again"
has "nothing to change" <"$W/again" || fail "a second deploy changed something: $(cat "$W/again")"
for ip in $(pods -o 'jsonpath={.items[*].status.podIP}'); do
  ask "$ip" | has Paris || fail "pod $ip does not answer"
done

step "the logs of both pods"
"$bundle" logs prod --quiet >"$W/log"
for pod in $(pods -o 'jsonpath={.items[*].metadata.name}'); do
  has "^$pod | " <"$W/log" || fail "the log lacks $pod: $(head -3 "$W/log")"
done
follows_all prod "$W/followed" 2 || fail "the logs of both pods"

step "values arrive as they are"
pid=$(pgrep -f "bundle-server.*--name smollm2" | head -1)
[ -n "$pid" ] || pid=$(pgrep -f bundle-server | head -1)
got=$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^HOSTILE=//p')
[ "$got" = 'a b'"'"'c"d$HOME %h \ `x` $(touch /tmp/owned) {{x}} $(HOME)' ] || fail "HOSTILE became: $got"
[ "$(stat -c %u "/proc/$pid")" = 65532 ] || fail "the server runs as user $(stat -c %u "/proc/$pid")"

step "update with streams open"
streams=()
n=0
for ip in $(pods -o 'jsonpath={.items[*].status.podIP}'); do
  n=$((n + 1))
  curl -sN "http://$ip:8000/v1/completions" -H 'Content-Type: application/json' -d \
    '{"model":"smollm2","prompt":"Once","max_tokens":400,"ignore_eos":true,"stream":true}' >"$W/stream$n" &
  streams+=($!)
done
sleep 1
"$bundle" update prod --set runtime.context_length=768 --yes --quiet >"$W/update"
for s in "${streams[@]}"; do wait "$s" || fail "a stream broke off"; done
for i in 1 2; do tail -c 40 "$W/stream$i" | has '\[DONE\]' || fail "stream $i was cut"; done
[ "$(status | field revision)" = 2 ] || fail "the update made no revision: $(cat "$W/update") $(status)"
curl -sf "http://$(address):8000/v1/models" | has 768 || fail "the update did not reach the pods"

step "a killed pod comes back"
victim=$(pods -o 'jsonpath={.items[0].metadata.name}')
kubectl delete pod -n llm "$victim" --grace-period=0 --force >/dev/null 2>&1
cluster_wait 90 "two pods again" has_replicas 2
ask | has Paris || fail "it does not answer after a pod's death"

step "a killed server is started again"
before=$(pods -o 'jsonpath={.items[*].status.containerStatuses[0].restartCount}')
kill -9 "$(pgrep -f bundle-server | head -1)"
# The cluster notices a little later: until then it calls the dead pod ready.
restarted() { [ "$(pods -o 'jsonpath={.items[*].status.containerStatuses[0].restartCount}')" != "$before" ] && has_replicas 2; }
cluster_wait 90 "the killed server again" restarted || fail "no restart (before: $before)"
ask | has Paris || fail "it does not answer after a server's death"

step "a broken revision says what the cluster said, and is undone"
sed "s|/llm/smollm2@|/llm/none@|; s/^drain_seconds: .*/drain_seconds: 5/; s/^replicas/update: {strategy: surge, ready_seconds: 10}\nreplicas/" "$W/d.yaml" >"$W/broken.yaml"
if "$bundle" deploy -f "$W/broken.yaml" --yes --quiet 2>"$W/err" >/dev/null; then
  fail "a revision that cannot start was taken"
fi
has -iE "pull|not found" <"$W/err" || fail "the error lacks the cluster's words: $(cat "$W/err")"
ask | has Paris || fail "the revision before does not answer"
status >"$W/status" || true
"$bundle" rollback prod --quiet >/dev/null
[ "$(status | field state)" = running ] || fail "it does not run after the rollback"
ask | has Paris || fail "it does not answer after the rollback"

step "a disruption budget holds the last pods"
# Pods that the Service sends requests to: one that ends, or never was ready, may always be evicted.
read -r first second <<<"$(kubectl get endpoints prod -n llm -o 'jsonpath={.subsets[0].addresses[*].targetRef.name}')"
[ -n "$second" ] || fail "two pods do not serve"
evict() { # POD: the API server's status code
  curl -sk -o /dev/null -w '%{http_code}' -X POST -H "Authorization: Bearer admin-token" -H 'Content-Type: application/json' \
    "https://127.0.0.1:16443/api/v1/namespaces/llm/pods/$1/eviction" \
    -d "{\"apiVersion\":\"policy/v1beta1\",\"kind\":\"Eviction\",\"metadata\":{\"name\":\"$1\",\"namespace\":\"llm\"}}"
}
code=$(evict "$first")
[ "$code" = 201 ] || fail "the first eviction was answered $code"
code=$(evict "$second")
[ "$code" = 429 ] || fail "the second eviction was answered $code"
cluster_wait 90 "two pods again" has_replicas 2

step "scale by hand"
"$bundle" scale prod 1 --yes --quiet >/dev/null
has_replicas 1 || fail "there are $(replicas) replicas"

step "verify: streams stay whole while every pod is replaced"
"$bundle" verify prod --streams 2 --tokens 60 --yes --quiet >"$W/verified" || fail "not verified: $(cat "$W/verified")"
deploy --yes >/dev/null
deploy --yes >"$W/again"
has "nothing to change" <"$W/again" || fail "a roll is a change to the next deploy: $(cat "$W/again")"

step "down to none, and back at the first request of a gateway, which picks for Envoy too"
sed 's/^replicas: 2/scaling: {min_replicas: 0, max_replicas: 1}/; s/^kubernetes:/kubernetes:\n  autoscaler: none/' "$W/d.yaml" >"$W/zero.yaml"
"$bundle" deploy -f "$W/zero.yaml" --yes --quiet >/dev/null
cluster_wait 90 "no pod" sh -c "[ -z \"\$(kubectl get pods -n llm -l app.kubernetes.io/instance=prod -o name)\" ]"
# As in a pod: no kubeconfig, the service account's token alone.
mkdir -p /var/run/secrets && mount -t tmpfs tmpfs /var/run/secrets && mkdir -p /var/run/secrets/kubernetes.io/serviceaccount
printf admin-token >/var/run/secrets/kubernetes.io/serviceaccount/token
cp "$W/pki/api/apiserver.crt" /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
env -u KUBECONFIG HOME="$W/nobody" KUBERNETES_SERVICE_HOST=$cluster_address KUBERNETES_SERVICE_PORT=16443 \
  "$bundle" gateway --deployment prod --target kubernetes --file "$W/zero.yaml" --port 16080 --picker-port 16081 \
  --wake "KUBECONFIG=$KUBECONFIG '$bundle' scale prod 1 --yes --quiet" 2>"$W/gateway.log" &
gateway=$!
gateway_is_up() { curl -sf http://127.0.0.1:16080/health; }
cluster_wait 20 "the gateway" gateway_is_up || fail "no gateway: $(cat "$W/gateway.log")"
curl -sf --max-time 120 http://127.0.0.1:16080/v1/completions -H 'Content-Type: application/json' -d \
  '{"model":"smollm2","prompt":"The capital of France is","max_tokens":4,"temperature":0}' >"$W/woken" || fail "nobody woke: $(cat "$W/gateway.log")"
has Paris <"$W/woken" || fail "the answer after waking: $(cat "$W/woken")"
# The gateway asked the pod itself, before the cluster did.
cluster_wait 60 "one replica" has_replicas 1
kill $gateway && wait $gateway || fail "the gateway's end"

step "scale by load, up and down"
cluster_metric
sed -i 's/^replicas: 2/scaling: {min_replicas: 1, max_replicas: 3, target_concurrency: 2, scale_down_delay_seconds: 10}/' "$W/d.yaml"
deploy --yes >/dev/null
ip=$(address)
for i in $(seq 8); do
  (while [ ! -e "$W/enough" ]; do
    curl -s -o /dev/null "http://$ip:8000/v1/completions" -H 'Content-Type: application/json' -d \
      '{"model":"smollm2","prompt":"Once","max_tokens":300,"ignore_eos":true}' || sleep 1
  done) &
done
cluster_wait 120 "three replicas by load" has_replicas 3
touch "$W/enough"
cluster_wait 180 "one replica without load" has_replicas 1

step "a replica over two pods: half of the layers in each"
"$bundle" delete prod --quiet >/dev/null
sed -e 's/^scaling:.*/replicas: 1/' -e 's/^resources:.*/resources: {gpu: 1, gpu_type: NVIDIA-H200, memory: 1Gi, nodes: 2}/' \
  -e 's/^runtime:.*/runtime: {context_length: 1024, threads: 1, backend: cpu, parallel: {pipeline: 2}}/' "$W/d.yaml" >"$W/pair.yaml"
"$bundle" deploy -f "$W/pair.yaml" --yes --quiet >/dev/null
leader() { kubectl get pod prod-0-0 -n llm -o 'jsonpath={.status.podIP}'; }
answers() { ask "$(leader)" >"$W/pair.answer" 2>/dev/null && has Paris <"$W/pair.answer"; }
answers || fail "the two pods do not answer"
[ "$(kubectl get pods -n llm -l app.kubernetes.io/instance=prod,statefulset.kubernetes.io/pod-name=prod-0-1 -o name)" = pod/prod-0-1 ] ||
  fail "there is no second pod"
kubectl get secret prod-group -n llm -o name >/dev/null || fail "the group has no secret"
"$bundle" deploy -f "$W/pair.yaml" --yes --quiet >"$W/again"
has "nothing to change" <"$W/again" || fail "a second deploy changed something: $(cat "$W/again")"

step "the second pod dies, and the two go on"
kubectl delete pod -n llm prod-0-1 --grace-period=0 --force >/dev/null 2>&1
cluster_wait 120 "an answer of both pods" answers

step "delete leaves nothing"
"$bundle" delete prod --quiet >/dev/null
left=$(kubectl get deployments,statefulsets,services,pods,hpa,pdb,networkpolicies,secrets,configmaps -n llm \
  -l app.kubernetes.io/instance=prod -o name)
[ -z "$left" ] || fail "these are left: $left"
echo "kubernetes passed (${SECONDS}s)"
