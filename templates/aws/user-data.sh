#!/bin/bash
# First boot of a replica: its files from S3, its server as a systemd unit, its metric, its drain.
set -euo pipefail
source={{ source }}
root=/var/lib/bundle
mkdir -p "$root"
aws s3 sync --only-show-errors "$source" "$root"
chmod -R a+rX "$root"
find "$root/runtime" -path '*/bin/*' -exec chmod 0755 {} +
find "$root/runtime" -name 'ld-linux*' -exec chmod 0755 {} +

cat >/etc/systemd/system/bundle.service <<'UNIT'
{% include aws/unit.service %}
UNIT

cat >/usr/local/bin/bundle-agent <<'AGENT'
#!/bin/bash
# Once a minute the load as a metric; and when the group takes this machine away, the drain.
group={{ group_name }}
metadata=http://169.254.169.254/latest
token() { curl -sf -X PUT "$metadata/api/token" -H 'X-aws-ec2-metadata-token-ttl-seconds: 300'; }
get() { curl -sf -H "X-aws-ec2-metadata-token: $(token)" "$metadata/meta-data/$1"; }
instance=$(get instance-id)
export AWS_DEFAULT_REGION=$(get placement/region)
for ((beat = 0; ; beat++)); do
  if [ "$(get autoscaling/target-lifecycle-state)" = Terminated ]; then
    systemctl stop bundle.service
    aws autoscaling complete-lifecycle-action --lifecycle-hook-name drain \
      --auto-scaling-group-name "$group" --instance-id "$instance" --lifecycle-action-result CONTINUE
    exit
  fi
  if ((beat % 12 == 0)); then
    load=$(curl -sf http://127.0.0.1:9090/metrics |
      awk '/^vllm:num_requests_(running|waiting)[{ ]/ { sum += $NF } END { print sum + 0 }') &&
      aws cloudwatch put-metric-data --namespace bundle --metric-name RequestsInFlight \
        --dimensions "AutoScalingGroupName=$group" --value "$load"
  fi
  sleep 5
done
AGENT
chmod 0755 /usr/local/bin/bundle-agent
systemd-run --unit=bundle-agent --property=Restart=on-failure /usr/local/bin/bundle-agent
systemctl daemon-reload
systemctl enable --now bundle.service
