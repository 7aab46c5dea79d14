"""One call of boto3 that survives the end of the service: prints the answer's text."""

import sys

import boto3
from botocore.config import Config

bedrock = boto3.client("bedrock-runtime", config=Config(retries={"max_attempts": 15, "mode": "standard"}))
answer = bedrock.converse(modelId="slow", messages=[{"role": "user", "content": [{"text": sys.argv[1]}]}])
print(answer["output"]["message"]["content"][0]["text"])
