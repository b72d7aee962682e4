"""What stands in for AWS in aws_moto.sh: moto with policies enforced, and looks into it.

  aws_moto.py serve PORT POLICY    prints VPC SUBNET SUBNET IMAGE and the keys of two users
  aws_moto.py stacks               names and states of all stacks
  aws_moto.py foreign NAME         makes a stack that is not ours
  aws_moto.py first-start NAME     the script that the machines of a stack run first
  aws_moto.py objects BUCKET       key, size and SHA-256 of all objects
"""
import base64
import hashlib
import json
import os
import sys
import time

import boto3

REGION = "eu-west-1"
FOREIGN = {"Resources": {"T": {"Type": "AWS::SQS::Queue"}}}
# Enough to look, and to ask for a change; not to carry it out.
ASKER = [
    "cloudformation:CreateChangeSet", "cloudformation:DeleteChangeSet", "cloudformation:DeleteStack",
    "cloudformation:DescribeChangeSet", "cloudformation:DescribeStackEvents",
    "cloudformation:DescribeStacks", "cloudformation:GetTemplate",
]


def client(service, key="setup", secret="setup"):
    return boto3.client(service, endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name=REGION,
                        aws_access_key_id=key, aws_secret_access_key=secret)


def admin(service):
    return client(service, *os.environ["ADMIN_KEYS"].split(":"))


def add_user(name, statements):
    iam = client("iam")
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": statements}))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def any_resource(statement):
    """moto compares no resource of a request: only the actions of a policy are shown."""
    return {"Effect": statement["Effect"], "Action": statement["Action"], "Resource": "*"}


def serve(port, policy):
    os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "1000000"
    from moto import settings
    from moto.core.authorization import ActionAuthenticatorMixin
    from moto.server import ThreadedMotoServer
    ThreadedMotoServer(ip_address="127.0.0.1", port=int(port), verbose=False).start()
    ec2 = client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnets = [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]][:2]
    image = ec2.describe_images()["Images"][0]["ImageId"]
    client("s3").create_bucket(Bucket="my-bundles",
                               CreateBucketConfiguration={"LocationConstraint": REGION})
    with open(policy, encoding="utf-8") as file:
        allowed = [any_resource(one) for one in json.load(file)["Statement"]]
    users = [add_user("deployer", allowed),
             add_user("asker", [{"Effect": "Allow", "Action": ASKER, "Resource": "*"}]),
             add_user("admin", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])]
    ActionAuthenticatorMixin.request_count = 0
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    print("ready", vpc, *subnets, image, *(part for user in users for part in user), flush=True)
    while True:
        time.sleep(60)


def stacks():
    for stack in admin("cloudformation").describe_stacks()["Stacks"]:
        print(stack["StackName"], stack["StackStatus"])


def foreign(name):
    admin("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(FOREIGN))


def first_start(name):
    found = admin("cloudformation").describe_stack_resource(
        StackName=name, LogicalResourceId="LaunchTemplate")["StackResourceDetail"]
    versions = admin("ec2").describe_launch_template_versions(
        LaunchTemplateId=found["PhysicalResourceId"], Versions=["$Latest"])
    data = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]["UserData"]
    sys.stdout.write(base64.b64decode(data).decode())


def objects(bucket):
    s3 = admin("s3")
    for one in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        body = s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
        print(one["Key"], len(body), hashlib.sha256(body).hexdigest())


if __name__ == "__main__":
    {"serve": serve, "stacks": stacks, "foreign": foreign, "first-start": first_start,
     "objects": objects}[sys.argv[1]](*sys.argv[2:])
