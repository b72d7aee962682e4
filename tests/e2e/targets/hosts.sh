# Sourced by the scripts of targets that need machines: real Debian hosts with systemd and sshd, each
# in a container of systemd-nspawn with a network of its own. Needs root and the packages
# systemd-container, debootstrap and openssh-client.
#
#   hosts_start N      boots hosts h1 … hN; HOST_IP[i] is the address of the i-th
#   hosts_ssh I CMD…   runs a command there
#   hosts_kill I       takes the plug out; hosts_boot I puts it in again
#   hosts_stop         ends and removes all of them

hosts_work=${HOSTS_WORK:?where hosts.sh keeps its files}
hosts_base=$hosts_work/base
hosts_net=10.77.$((RANDOM % 200 + 20))
hosts_bridge=bdl$((RANDOM % 10000))
declare -A HOST_IP HOST_PID
hosts_count=0

# The root file system is made once and copied for each host.
hosts_make_base() {
  [ -e "$hosts_base/.complete" ] && return
  rm -rf "$hosts_base"
  mkdir -p "$hosts_work"
  echo "making a Debian root file system (once, about a minute)" >&2
  debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,openssh-server,iproute2 \
    bookworm "$hosts_base" >"$hosts_work/debootstrap.log" 2>&1
  touch "$hosts_base/.complete"
}

hosts_ssh() {
  local i=$1
  shift
  ssh -q -F "$hosts_work/ssh_config" "root@${HOST_IP[$i]}" "$@"
}

hosts_boot() {
  local i=$1 n
  systemd-nspawn --quiet --register=no --keep-unit -D "$hosts_work/h$i" -M "h$i" -b \
    --network-namespace-path="/run/netns/$hosts_bridge-$i" >"$hosts_work/h$i.log" 2>&1 &
  HOST_PID[$i]=$!
  for n in $(seq 120); do
    hosts_ssh "$i" true 2>/dev/null && return
    sleep 0.5
  done
  echo "host h$i did not boot:" >&2
  tail -5 "$hosts_work/h$i.log" >&2
  return 1
}

hosts_start() {
  hosts_count=$1
  hosts_make_base
  rm -f "$hosts_work/key" "$hosts_work/key.pub"
  ssh-keygen -q -t ed25519 -N '' -f "$hosts_work/key"
  printf '%s\n' "Host *" "  IdentityFile $hosts_work/key" "  IdentitiesOnly yes" \
    "  StrictHostKeyChecking no" "  UserKnownHostsFile /dev/null" "  LogLevel ERROR" \
    "  ConnectTimeout 5" >"$hosts_work/ssh_config"
  ip link add "$hosts_bridge" type bridge
  ip addr add "$hosts_net.1/24" dev "$hosts_bridge"
  ip link set "$hosts_bridge" up
  local i
  for i in $(seq "$hosts_count"); do
    HOST_IP[$i]=$hosts_net.$((i + 1))
    rm -rf "$hosts_work/h$i"
    cp -a "$hosts_base" "$hosts_work/h$i"
    install -D -m 600 "$hosts_work/key.pub" "$hosts_work/h$i/root/.ssh/authorized_keys"
    ip netns add "$hosts_bridge-$i"
    ip link add "$hosts_bridge.$i" type veth peer name eth0 netns "$hosts_bridge-$i"
    ip link set "$hosts_bridge.$i" master "$hosts_bridge" up
    ip -n "$hosts_bridge-$i" addr add "${HOST_IP[$i]}/24" dev eth0
    ip -n "$hosts_bridge-$i" link set eth0 up
    ip -n "$hosts_bridge-$i" link set lo up
    hosts_boot "$i"
  done
}

# The container's first process, killed, takes all others of the host with it.
hosts_kill() {
  local child
  for child in $(cat "/proc/${HOST_PID[$1]}/task/${HOST_PID[$1]}/children" 2>/dev/null); do
    kill -9 "$child" 2>/dev/null || true
  done
  kill -9 "${HOST_PID[$1]}" 2>/dev/null || true
  wait "${HOST_PID[$1]}" 2>/dev/null || true
}

hosts_stop() {
  local i
  for i in $(seq "$hosts_count"); do
    [ -z "${HOST_PID[$i]:-}" ] || hosts_kill "$i"
    ip netns del "$hosts_bridge-$i" 2>/dev/null || true
    rm -rf "${hosts_work:?}/h$i"
  done
  ip link del "$hosts_bridge" 2>/dev/null || true
}
