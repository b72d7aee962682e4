# Sourced by the scripts of targets that need Kubernetes: the real control plane and kubelet of
# build-kubernetes, containerd and a registry, all in the network namespace that the script runs in,
# with one node n1 of eight pretended GPUs. Needs root and `scripts/setup --targets`.
#
#   cluster_start      boots it; KUBECONFIG names it, $CLUSTER_REGISTRY is the registry
#   cluster_api_only   no node, no registry: the API and its controllers; CLUSTER_HPA_SYNC is how
#                      often autoscalers look (3s)
#   cluster_metric     serves the requests in flight of all pods as an external metric
#   cluster_stop       ends all, pods too

cluster_work=${CLUSTER_WORK:?where cluster.sh keeps its files}
cluster_bin=${CLUSTER_BIN:?the folder that build-kubernetes made}/bin
cluster_address=10.79.0.1
CLUSTER_REGISTRY=127.0.0.1:5000
export KUBECONFIG=$cluster_work/kubeconfig
cluster_pids=()
PATH=$cluster_bin:$PATH

# The script again, in namespaces of its own: nothing of it touches the machine's network or mounts.
cluster_enter() {
  [ -z "${CLUSTER_INSIDE:-}" ] || return 0
  CLUSTER_INSIDE=1 exec unshare --net --mount --pid --fork --mount-proc --kill-child -- "$0" "$@"
}

cluster_run() { # NAME COMMAND…
  local name=$1
  shift
  "$@" >"$cluster_work/$name.log" 2>&1 &
  cluster_pids+=($!)
}

cluster_wait() { # SECONDS WHAT COMMAND…: until the command succeeds
  local until=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $until ] || { echo "not there in time: $what" >&2; tail -n 3 "$cluster_work"/*.log >&2; return 1; }
    sleep 0.5
  done
}

cluster_certificates() {
  local pki=$cluster_work/pki
  mkdir -p "$pki/api"
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout "$pki/ca.key" -out "$pki/ca.crt" 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -subj /CN=front -keyout "$pki/front.key" -out "$pki/front.csr" 2>/dev/null
  openssl x509 -req -days 2 -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -in "$pki/front.csr" \
    -out "$pki/front.crt" 2>/dev/null
  openssl genrsa -out "$pki/sa.key" 2048 2>/dev/null
  openssl rsa -in "$pki/sa.key" -pubout -out "$pki/sa.pub" 2>/dev/null
  echo 'admin-token,admin,admin,"system:masters"' >"$pki/tokens.csv"
}

cluster_kubeconfig() {
  cat >"$KUBECONFIG" <<CONF
apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://127.0.0.1:16443", insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: admin-token}}]
contexts: [{name: test, context: {cluster: test, user: admin}}]
current-context: test
CONF
}

# An image whose one program only waits: what holds a pod's network.
cluster_pause_image() {
  local image=$cluster_work/pause
  mkdir -p "$image/blobs/sha256" "$image/root"
  printf '#include <unistd.h>\nint main(void) { for (;;) pause(); }\n' | gcc -static -O1 -x c -o "$image/root/pause" -
  local layer config manifest
  tar -C "$image/root" -cf "$image/layer" pause
  layer=$(cluster_blob "$image" layer)
  printf '{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/pause"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$layer" >"$image/config"
  config=$(cluster_blob "$image" config)
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%d},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%d}]}' \
    "$config" "$(stat -c %s "$image/blobs/sha256/$config")" "$layer" "$(stat -c %s "$image/blobs/sha256/$layer")" >"$image/manifest"
  manifest=$(cluster_blob "$image" manifest)
  printf '{"imageLayoutVersion":"1.0.0"}' >"$image/oci-layout"
  printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%d,"annotations":{"io.containerd.image.name":"docker.io/test/pause:1"}}]}' \
    "$manifest" "$(stat -c %s "$image/blobs/sha256/$manifest")" >"$image/index.json"
  tar -C "$image" -cf "$cluster_work/pause.tar" blobs oci-layout index.json
}

cluster_blob() { # FOLDER FILE: moves it among the blobs and prints its digest
  local digest
  digest=$(sha256sum "$1/$2" | cut -d' ' -f1)
  mv "$1/$2" "$1/blobs/sha256/$digest"
  echo "$digest"
}

cluster_network() {
  ip link set lo up
  # Of a fixed address: else it takes a port's, and changes when that pod goes.
  ip link add cluster address 02:00:00:4f:00:01 type bridge
  ip addr add "$cluster_address/16" dev cluster
  ip link set cluster up
  echo 1 >/proc/sys/net/ipv4/ip_forward
  mkdir -p "$cluster_work/cni"
  cat >"$cluster_work/cni/10-cluster.conflist" <<CONF
{"cniVersion": "0.4.0", "name": "cluster", "plugins": [{"type": "bridge", "bridge": "cluster",
 "isDefaultGateway": true, "ipam": {"type": "host-local", "dataDir": "$cluster_work/leases",
 "ranges": [[{"subnet": "10.79.0.0/16", "rangeStart": "10.79.1.1", "rangeEnd": "10.79.1.250", "gateway": "$cluster_address"}]]}}]}
CONF
}

cluster_registry() {
  cat >"$cluster_work/registry.yaml" <<CONF
version: 0.1
storage: {filesystem: {rootdirectory: $cluster_work/registry}}
http: {addr: $CLUSTER_REGISTRY}
CONF
  cluster_run registry docker-registry serve "$cluster_work/registry.yaml"
}

cluster_containerd() {
  cat >"$cluster_work/containerd.toml" <<CONF
version = 2
root = "$cluster_work/containerd"
state = "$cluster_work/containerd-state"
[grpc]
  address = "$cluster_work/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "docker.io/test/pause:1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$cluster_work/cni"
CONF
  cluster_run containerd containerd -c "$cluster_work/containerd.toml"
  cluster_wait 30 containerd ctr -a "$cluster_work/containerd.sock" version
  ctr -a "$cluster_work/containerd.sock" -n k8s.io images import "$cluster_work/pause.tar" >/dev/null
}

cluster_control_plane() {
  local pki=$cluster_work/pki etcd=http://127.0.0.1:12379
  cluster_run etcd etcd --data-dir "$cluster_work/etcd" --listen-client-urls $etcd --advertise-client-urls $etcd \
    --listen-peer-urls http://127.0.0.1:12380
  cluster_run apiserver kube-apiserver --etcd-servers=$etcd --service-cluster-ip-range=10.96.0.0/16 \
    --bind-address=0.0.0.0 --secure-port=16443 --advertise-address=$cluster_address --cert-dir="$pki/api" \
    --service-account-key-file="$pki/sa.pub" --service-account-signing-key-file="$pki/sa.key" \
    --service-account-issuer=https://kubernetes.default.svc --token-auth-file="$pki/tokens.csv" \
    --authorization-mode=RBAC --allow-privileged=true --enable-aggregator-routing=true \
    --kubelet-preferred-address-types=InternalIP --requestheader-client-ca-file="$pki/ca.crt" \
    --requestheader-allowed-names= --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --requestheader-group-headers=X-Remote-Group --requestheader-username-headers=X-Remote-User \
    --proxy-client-cert-file="$pki/front.crt" --proxy-client-key-file="$pki/front.key" \
    --kubelet-client-certificate="$pki/front.crt" --kubelet-client-key="$pki/front.key"
  cluster_wait 90 "the API server" kubectl get --raw /healthz
  cluster_run controllers kube-controller-manager --kubeconfig="$KUBECONFIG" \
    --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/api/apiserver.crt" --leader-elect=false \
    --horizontal-pod-autoscaler-sync-period="${CLUSTER_HPA_SYNC:-3s}" \
    --horizontal-pod-autoscaler-downscale-stabilization=10s --port=0 --secure-port=0
}

cluster_scheduler() {
  cluster_run scheduler kube-scheduler --kubeconfig="$KUBECONFIG" --leader-elect=false --port=0 --secure-port=0
}

cluster_kubelet() {
  cat >"$cluster_work/kubelet.yaml" <<CONF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failSwapOn: false
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
evictionHard: {memory.available: 50Mi, nodefs.available: "1%", imagefs.available: "1%"}
clusterDNS: [$cluster_address]
clusterDomain: cluster.local
CONF
  cluster_run names python3 "$(dirname "${BASH_SOURCE[0]}")/cluster_names.py" "$cluster_address" https://127.0.0.1:16443
  cluster_run kubelet kubelet --config="$cluster_work/kubelet.yaml" --kubeconfig="$KUBECONFIG" \
    --root-dir="$cluster_work/kubelet" --container-runtime=remote --hostname-override=n1 \
    --container-runtime-endpoint="unix://$cluster_work/containerd.sock" --node-ip=$cluster_address \
    --node-labels=nvidia.com/gpu.product=NVIDIA-H200
  cluster_wait 120 "node n1" kubectl wait --for=condition=Ready node/n1 --timeout=1s
  curl -sf -k -X PATCH "https://127.0.0.1:16443/api/v1/nodes/n1/status" -H "Authorization: Bearer admin-token" \
    -H 'Content-Type: application/json-patch+json' \
    -d '[{"op": "add", "path": "/status/capacity/nvidia.com~1gpu", "value": "8"}]' >/dev/null
  cluster_wait 60 "its GPUs" sh -c 'kubectl get node n1 -o jsonpath={.status.allocatable} | grep gpu'
}

cluster_start() {
  mkdir -p "$cluster_work"
  cluster_network
  cluster_certificates
  cluster_kubeconfig
  cluster_pause_image
  cluster_registry
  cluster_containerd
  cluster_control_plane
  cluster_scheduler
  cluster_kubelet
}

cluster_api_only() {
  mkdir -p "$cluster_work"
  cluster_network
  cluster_certificates
  cluster_kubeconfig
  cluster_control_plane
}

cluster_metric() {
  cluster_run metric python3 "$(dirname "${BASH_SOURCE[0]}")/metrics_adapter.py" "$cluster_address" 16500 \
    "$cluster_work/pki/front.crt" "$cluster_work/pki/front.key"
  cluster_metric_service
}

# The external metrics API is what answers at port 16500.
cluster_metric_service() {
  kubectl apply -f - >/dev/null <<CONF
{"apiVersion": "v1", "kind": "List", "items": [
 {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "metric", "namespace": "default"},
  "spec": {"ports": [{"port": 443, "targetPort": 16500}]}},
 {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "metric", "namespace": "default"},
  "subsets": [{"addresses": [{"ip": "$cluster_address"}], "ports": [{"port": 16500}]}]},
 {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1beta1.external.metrics.k8s.io"},
  "spec": {"group": "external.metrics.k8s.io", "version": "v1beta1", "insecureSkipTLSVerify": true,
           "groupPriorityMinimum": 100, "versionPriority": 100, "service": {"name": "metric", "namespace": "default"}}}]}
CONF
  cluster_wait 60 "the metric's API" kubectl get --raw /apis/external.metrics.k8s.io/v1beta1
}

# The namespace of processes ends with the script, which takes what is left along.
cluster_stop() {
  [ -n "${KEEP:-}" ] || rm -rf "$cluster_work"/{home,pki}
  local pid
  for pid in "${cluster_pids[@]}"; do kill "$pid" 2>/dev/null || true; done
}
