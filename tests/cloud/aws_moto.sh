#!/bin/bash
# A deployment's whole life on AWS, against PyPI's moto with signatures checked and the actions of
# examples/deploy/aws-policy.json enforced.
#   aws_moto.sh BUNDLE BUILD_SAMPLE
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
python=${BUNDLE_PACKAGING_PYTHON:-$here/../../build/packaging-venv/bin/python}
[ -x "$python" ] || { echo "moto is missing: run scripts/packaging-venv" >&2; exit 1; }
bundle=$1
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
fail() { echo "FAILED: $*" >&2; cat said.txt >&2 || true; exit 1; }

for variable in $(compgen -e | grep ^AWS_ || true); do unset "$variable"; done
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export AWS_ENDPOINT_URL=http://127.0.0.1:$port HOME=$folder BUNDLE_HOME=$folder/home
"$python" "$here/aws_moto.py" serve "$port" "$here/../../examples/deploy/aws-policy.json" >served 2>moto.log &
server=$!
for _ in $(seq 600); do grep -q ^ready served && break; kill -0 $server 2>/dev/null || break; sleep 0.1; done
grep -q ^ready served || { cat moto.log; fail "moto does not start"; }
read -r _ vpc subnet_1 subnet_2 image key secret asker_key asker_secret admin_key admin_secret \
  < <(grep ^ready served)
export ADMIN_KEYS=$admin_key:$admin_secret AWS_REGION=eu-west-1
moto() { "$python" "$here/aws_moto.py" "$@"; }

# as USER_KEY USER_SECRET EXIT_CODE arguments…: what was said is in said.txt
as() {
  local code=0 wanted=$3
  AWS_ACCESS_KEY_ID=$1 AWS_SECRET_ACCESS_KEY=$2 "$bundle" "${@:4}" --quiet >said.txt 2>&1 || code=$?
  [ $code = "$wanted" ] || fail "bundle ${*:4}: exit code $code, not $wanted"
  ! grep -qF -e "$secret" -e "$asker_secret" said.txt || fail "a secret was printed"
}
deployer() { as "$key" "$secret" 0 "$@"; }
refused() { as "$key" "$secret" "$@"; }
said() { grep -qF -- "$1" said.txt || fail "not said: $1"; }
not_said() { ! grep -qF -- "$1" said.txt || fail "said: $1"; }

"$2" "$folder" >/dev/null
deployer build model --name tiny
cat >distill.yaml <<YAML
name: distill
target: aws
bundle: tiny
labels: {team: "research + more"}
scaling: {min_replicas: 1, max_replicas: 3, target_concurrency: 8}
aws:
  source: s3://my-bundles/distill
  machine_image: $image
  instance_type: g5.2xlarge
  vpc: $vpc
  subnets: [$subnet_1, $subnet_2]
YAML
sed 's/^aws:/aws:\n  upload: false/' distill.yaml >copied.yaml
sed 's/^labels:.*/labels: {team: "a<b>"}/' distill.yaml >bad-label.yaml

echo "who may not"
as "$key" wrong 5 deploy -f distill.yaml --yes
said "AWS does not take these keys: SignatureDoesNotMatch"
as AKIAUNKNOWN "$secret" 5 deploy -f distill.yaml --yes
said "InvalidClientTokenId"
as "" "" 2 deploy -f distill.yaml --yes
said "there are no keys for AWS"
as "$asker_key" "$asker_secret" 5 deploy -f distill.yaml --yes
said "Allow s3:ListBucket"
as "$asker_key" "$asker_secret" 5 deploy -f copied.yaml --yes
said "AWS denies cloudformation:ExecuteChangeSet"
[ -z "$(moto stacks)" ] || fail "a refused deployment left a stack: $(moto stacks)"

echo "keys of a profile"
mkdir .aws
printf '[default]\naws_access_key_id = x\n[work]\naws_access_key_id = %s\naws_secret_access_key = %s\n' \
  "$key" "$secret" >.aws/credentials
printf '[profile work]\nregion = eu-west-1\n' >.aws/config
AWS_REGION= AWS_PROFILE=work as "" "" 0 deploy -f distill.yaml --plan
said "create the stack 'bundle-distill' in eu-west-1"
rm -r .aws
AWS_REGION= refused 2 deploy -f distill.yaml --plan
said "no region of AWS is named"

echo "plan and creation"
deployer deploy -f distill.yaml --plan
said "add Replicas (AWS::AutoScaling::AutoScalingGroup)"
said "to s3://my-bundles/distill"
[ -z "$(moto objects my-bundles)" ] || fail "a plan sent files"
[ -z "$(moto stacks)" ] || fail "a plan left a stack: $(moto stacks)"
deployer deploy -f distill.yaml --yes
said "distill is running and ready"
said "http://bundle-distill-"
[ "$(moto stacks)" = "bundle-distill CREATE_COMPLETE" ] || fail "stacks: $(moto stacks)"

echo "the files that machines start from"
moto objects my-bundles | sort >there.txt
"$bundle" deploy -f distill.yaml --render rendered --quiet >/dev/null
while IFS=$'\t' read -r file path; do
  echo "distill/$path $(stat -c %s "$file") $(sha256sum "$file" | cut -d ' ' -f 1)"
done <rendered/tree.tsv >wanted.txt
(cd rendered/tree && find . -type f | while read -r file; do
  echo "distill/${file#./} $(stat -c %s "$file") $(sha256sum "$file" | cut -d ' ' -f 1)"
done) >>wanted.txt
sort wanted.txt | diff - there.txt >&2 || fail "the bucket does not hold the tree"

echo "the same again, from another machine"
export BUNDLE_HOME=$folder/other
deployer build model --name tiny
deployer deploy -f distill.yaml --yes
said "nothing to change"
said "revision  1"
export BUNDLE_HOME=$folder/home

echo "a change"
hostile='a "b" '"'c'"' $HOME ${x} %{y} {{z}} \ `id` <&> é'
deployer deploy -f distill.yaml --env "HOSTILE=$hostile" --plan
said "modify LaunchTemplate (AWS::EC2::LaunchTemplate)"
deployer deploy -f distill.yaml --env "HOSTILE=$hostile" --yes
said "revision  2"
moto first-start bundle-distill >start.sh
bash -n start.sh || fail "the machines' script"
HOSTILE=$hostile "$python" - <<'PYTHON' || fail "the hostile value changed on its way"
import os
line = next(l for l in open("start.sh", encoding="utf-8") if l.startswith('Environment="HOSTILE='))
value = line.strip()[len('Environment="HOSTILE='):-1].replace("%%", "%")
assert value.replace('\\"', '"').replace("\\\\", "\\") == os.environ["HOSTILE"], value
PYTHON

echo "more of them, and back"
deployer scale distill 2 --max 5 --plan
said "modify Replicas"
not_said "modify LaunchTemplate"
deployer scale distill 2 --max 5 --yes
[ "$(grep -c "InService  yes" said.txt)" = 2 ] || fail "two replicas are not ready"
deployer rollback distill --to 1
said "revision  4"
deployer status distill --output json
"$python" - <<'PYTHON' || fail "the state after a rollback"
import json
status = json.load(open("said.txt"))
assert status["revision"] == 4 and status["revisions"] == [1, 2, 3, 4], status
assert status["state"] == "running" and len(status["replicas"]) == 1, status
PYTHON
moto first-start bundle-distill >start.sh
! grep -q HOSTILE start.sh || fail "the rollback kept the variable"

echo "from another machine"
BUNDLE_HOME=$folder/nothing deployer status --target aws
said "distill     aws     running"
BUNDLE_HOME=$folder/nothing refused 2 logs distill --target aws
said "aws ssm start-session --target i-"

echo "what is refused"
moto foreign bundle-foreign
refused 2 deploy -f distill.yaml --name foreign --yes
said "the stack 'bundle-foreign' was not made by 'bundle deploy' for 'foreign'"
refused 2 delete foreign --target aws
refused 3 deploy -f distill.yaml --name a.b --yes
said "is no name of a stack"
refused 3 deploy -f bad-label.yaml --yes
said "is no tag that AWS takes"
refused 3 deploy -f distill.yaml --env "LONG=$(printf 'x%.0s' $(seq 17000))" --yes
said "AWS takes 16,384"
sed 's|s3://my-bundles|s3://no-such-bucket|' distill.yaml >no-bucket.yaml
refused 4 deploy -f no-bucket.yaml --yes
said "Make the bucket of aws.source"
refused 4 rollback distill --to 9

echo "the end"
deployer delete distill
refused 4 status distill --target aws
[ "$(moto stacks)" = "bundle-foreign CREATE_COMPLETE" ] || fail "stacks: $(moto stacks)"
echo "passed"
