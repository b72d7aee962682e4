#!/bin/bash
# One replica of a bundle's server as a Slurm job. Written by bundle deploy.
#SBATCH --job-name={{ job }}
#SBATCH --comment={{ comment }}
#SBATCH --nodes={{ nodes }}
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output={{ log }}
#SBATCH --signal=B:TERM@{{ warning_seconds }}
{% if cpus %}
#SBATCH --cpus-per-task={{ cpus }}
{% end %}
{% if memory_mb %}
#SBATCH --mem={{ memory_mb }}M
{% end %}
{% if gpu %}
#SBATCH --gpus-per-node={{ gpu }}
{% end %}
{% if exclusive %}
#SBATCH --exclusive
{% end %}
{% if time_minutes %}
#SBATCH --time={{ time_minutes }}
{% end %}
{% if partition %}
#SBATCH --partition={{ partition }}
{% end %}
{% if account %}
#SBATCH --account={{ account }}
{% end %}
{% if qos %}
#SBATCH --qos={{ qos }}
{% end %}
{% if constraint %}
#SBATCH --constraint={{ constraint }}
{% end %}
{% if reservation %}
#SBATCH --reservation={{ reservation }}
{% end %}
set -u

endpoint={{ endpoint }}
stop_mark={{ stop_mark }}.$SLURM_JOB_ID
command=({{ command }})
{% for variable in environment %}
export {{ variable }}
{% end %}
{% if secrets_file %}
set -a
. {{ secrets_file }}
set +a
{% end %}

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# Another job may be on this machine: the next port that nobody listens on.
free_port() {
  local port=$1
  while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
  echo "$port"
}
port=$(free_port {{ port }})
command+=(--port "$port")
probe_port=$port
{% if admin_port %}
probe_port=$(free_port {{ admin_port }})
command+=(--admin-port "$probe_port")
{% end %}

{% if group %}
# One server process on each machine; they find the first one and their own place in the group by
# these variables and Slurm's own. Each run has a secret of its own, which lets no other machine in.
export MASTER_ADDR MASTER_PORT
# The address by which Slurm itself reaches the machine.
MASTER_ADDR=$(scontrol show node "$head" | sed -n 's/.*NodeAddr=\([^ ]*\).*/\1/p')
MASTER_PORT=$(free_port $((port + 1000)))
group_token={{ group_token }}.$SLURM_JOB_ID
(umask 077; head -c 32 /dev/urandom | base64 >"$group_token.new" && mv -f "$group_token.new" "$group_token")
command+=(--nodes auto --group-token-file "$group_token")
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}
srun --kill-on-bad-exit=1 --ntasks-per-node=1 "${command[@]}" &
server=$!
end() { scancel --signal=TERM "$SLURM_JOB_ID.0"; }
{% else %}
"${command[@]}" &
server=$!
end() { kill -TERM "$server"; }
{% end %}
state=running
# Asked to stop, or the time limit is near: let running requests end.
trap 'state=draining; rm -f "$endpoint"; end' TERM

ready() {
  local line
  { exec 3<>"/dev/tcp/127.0.0.1/$probe_port"; } 2>/dev/null || return 1
  printf 'GET /ready HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
  read -r -t 5 line <&3
  timeout 5 cat <&3 >/dev/null  # leaving in the middle of an answer would be an error to the server
  exec 3>&-
  [[ $line == *" 200 "* ]]
}

# The endpoint's file is its heartbeat: who reads it trusts it for a minute.
while kill -0 "$server" 2>/dev/null; do
  if [ $state = running ] && ready; then
    printf '%s://%s:%s\n' {{ scheme }} "$head" "$port" >"$endpoint.new" && mv -f "$endpoint.new" "$endpoint"
  fi
  sleep 2 &
  wait -n 2>/dev/null
done
wait "$server"
code=$?
rm -f "$endpoint"
{% if group %}
rm -f "$group_token"
{% end %}
# Nobody asked for the end: the time limit came. The next run takes over.
if [ $state = draining ] && [ ! -e "$stop_mark" ]; then
  scontrol requeue "$SLURM_JOB_ID"
  exit 0
fi
rm -f "$stop_mark"
exit "$code"
