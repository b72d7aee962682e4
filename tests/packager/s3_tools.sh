#!/bin/bash
# Builds from S3, against PyPI's moto with signatures checked.
#   s3_tools.sh BUNDLE BUILD_SAMPLE
set -euo pipefail

python=${BUNDLE_PACKAGING_PYTHON:-$(dirname "$0")/../../build/packaging-venv/bin/python}
[ -x "$python" ] || { echo "moto is missing: run scripts/packaging-venv" >&2; exit 1; }
bundle=$1
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
"$2" "$folder" >/dev/null
rm -rf store big.tar
fail() { echo "FAILED: $*" >&2; exit 1; }

port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_REGION=eu-west-1
# moto creates the user, the bucket and the objects, then checks every signature.
INITIAL_NO_AUTH_ACTION_COUNT=NUM "$python" - <<'PYTHON' >keys 2>moto.log &
import json, os, sys, threading, time
import boto3
port = int(os.environ["AWS_ENDPOINT_URL"].rsplit(":", 1)[1])
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "1000000"
from moto.server import ThreadedMotoServer
from moto.core.responses import ActionAuthenticatorMixin
from moto import settings
server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
server.start()
use = dict(endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name="eu-west-1",
           aws_access_key_id="setup", aws_secret_access_key="setup")
iam = boto3.client("iam", **use)
iam.create_user(UserName="me")
iam.put_user_policy(UserName="me", PolicyName="all", PolicyDocument=json.dumps({
    "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}))
key = iam.create_access_key(UserName="me")["AccessKey"]
s3 = boto3.client("s3", **use)
s3.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
for name in os.listdir("model"):
    s3.upload_file(f"model/{name}", "models", f"team/tiny model+1/{name}")
s3.put_object(Bucket="models", Key="team/tiny model+1/deeper/config.json", Body=b"other")
ActionAuthenticatorMixin.request_count = 0
settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
import moto.core.responses as responses
responses.settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
print(key["AccessKeyId"], key["SecretAccessKey"], flush=True)
while True:
    time.sleep(60)
PYTHON
server=$!
for _ in $(seq 300); do [ -s keys ] && break; kill -0 $server 2>/dev/null || break; sleep 0.1; done
[ -s keys ] || { cat moto.log; fail "moto does not start"; }
read -r id secret <keys
export HOME=$folder BUNDLE_HOME=$folder/home

echo "with the right key"
AWS_ACCESS_KEY_ID=$id AWS_SECRET_ACCESS_KEY=$secret "$bundle" build 's3://models/team/tiny model+1' \
  --no-runtime --name tiny >built.txt || fail "build"
"$bundle" build model --no-runtime --name local | tail -1 >local.txt
[ "$(tail -1 built.txt)" = "$(cat local.txt)" ] || fail "the digest is not that of the local files"

echo "with a wrong one"
code=0
AWS_ACCESS_KEY_ID=$id AWS_SECRET_ACCESS_KEY=wrong "$bundle" build 's3://models/team/tiny model+1' \
  --no-runtime --name wrong 2>error.txt >/dev/null || code=$?
[ $code = 5 ] || { cat error.txt; fail "exit code $code"; }
echo "passed"
