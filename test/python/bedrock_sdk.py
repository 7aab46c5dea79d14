"""boto3 and LangChain's ChatBedrockConverse, unchanged but for the endpoint in the environment."""

import json
import os
import threading
import time
import unittest
import urllib.request
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from langchain_aws import ChatBedrockConverse
from langchain_core.tools import tool

SERVICE = os.environ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"]
SIMULATORS = os.environ["SIMULATOR_URLS"].split(" ")
NOVA = "us.amazon.nova-lite-v1:0"
NOVA_ARN = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{NOVA}"


def client(**config):
    return boto3.client("bedrock-runtime", config=Config(**config))


def ask(prompt: str, model: str = NOVA) -> dict:
    return {
        "modelId": model,
        "messages": [{"role": "user", "content": [{"text": prompt}]}],
        "inferenceConfig": {"maxTokens": 60},
    }


def text_of(answer: dict) -> str:
    return answer["output"]["message"]["content"][0]["text"]


def streamed_text(answer: dict) -> str:
    return "".join(event.get("contentBlockDelta", {}).get("delta", {}).get("text", "") for event in answer["stream"])


def calls_with(prompt: str) -> int:
    """How often Bedrock was called with a prompt."""
    count = 0
    for simulator in SIMULATORS:
        with urllib.request.urlopen(f"{simulator}/__simulator/journal") as journal:
            count += sum(call["prompt"] == prompt for call in json.load(journal)["calls"])
    return count


def post(path: str, body: dict) -> None:
    headers = {"content-type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(SERVICE + path, json.dumps(body).encode(), headers)).close()


class Calls(unittest.TestCase):
    def test_converse(self):
        for model in ["nova", "amazon.nova-lite-v1:0", NOVA, NOVA_ARN]:
            with self.subTest(model):
                answer = client().converse(**ask("Why is the sky blue?", model))
                self.assertIn("synthetic", text_of(answer))
                self.assertGreater(answer["usage"]["outputTokens"], 5)
                self.assertEqual(answer["ResponseMetadata"]["RetryAttempts"], 0)
                self.assertIn("x-sluice-job-id", answer["ResponseMetadata"]["HTTPHeaders"])

    def test_converse_stream(self):
        self.assertIn("synthetic", streamed_text(client().converse_stream(**ask("Why?"))))

    def test_invoke_model(self):
        body = json.dumps({"prompt": "Why?", "max_gen_len": 60})
        answer = client().invoke_model(modelId="llama-8b", body=body)
        self.assertIn("synthetic", json.loads(answer["body"].read())["generation"])
        self.assertEqual(answer["contentType"], "application/json")
        self.assertGreater(int(answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-bedrock-output-token-count"]), 5)

    def test_invoke_model_with_response_stream(self):
        body = json.dumps({"prompt": "Why?", "max_gen_len": 60})
        answer = client().invoke_model_with_response_stream(modelId="llama-8b", body=body)
        chunks = [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]
        self.assertIn("synthetic", "".join(chunk["generation"] for chunk in chunks))
        self.assertIn("amazon-bedrock-invocationMetrics", chunks[-1])

    def test_count_tokens(self):
        messages = ask("Why is the sky blue?")["messages"]
        counted = client().count_tokens(modelId="llama-8b", input={"converse": {"messages": messages}})
        self.assertGreater(counted["inputTokens"], 5)

    def test_errors_are_typed_and_not_repeated(self):
        bedrock = client()
        cases = [
            (bedrock.exceptions.ResourceNotFoundException, ask("Why?", "amazon.titan-text-lite-v1")),
            (bedrock.exceptions.ValidationException, {"modelId": NOVA, "messages": []}),
            (bedrock.exceptions.ValidationException, ask("Why?", f"{NOVA_ARN[:44]}:prompt/ABCDEFGHIJ")),
        ]
        for expected, request in cases:
            with self.subTest(expected.__name__), self.assertRaises(expected) as raised:
                bedrock.converse(**request)
            self.assertEqual(raised.exception.response["ResponseMetadata"]["RetryAttempts"], 0)

    def test_operations_that_sluice_lacks(self):
        content = [{"text": {"text": "x"}}]
        output = {"s3OutputDataConfig": {"s3Uri": "s3://x"}}
        bedrock = client()
        for name, call in [
            ("apply_guardrail", dict(guardrailIdentifier="a", guardrailVersion="1", source="INPUT", content=content)),
            ("start_async_invoke", dict(modelId=NOVA, modelInput={"a": 1}, outputDataConfig=output)),
            ("list_async_invokes", {}),
        ]:
            with self.subTest(name), self.assertRaises(ClientError) as raised:
                getattr(bedrock, name)(**call)
            self.assertEqual(raised.exception.response["Error"]["Code"], "UnknownOperationException")


class HeldCalls(unittest.TestCase):
    def test_a_call_that_is_held_too_long_is_repeated_and_runs_once(self):
        bedrock = client(retries={"max_attempts": 10, "mode": "standard"})

        def hold_briefly(request, **_):
            request.headers["x-sluice-max-wait"] = "1"

        bedrock.meta.events.register("before-sign.bedrock-runtime.Converse", hold_briefly)
        prompt = f"hold {uuid.uuid4()}"
        answer = bedrock.converse(**ask(prompt, "slow"))
        self.assertIn("synthetic", text_of(answer))
        self.assertGreater(answer["ResponseMetadata"]["RetryAttempts"], 0)
        self.assertEqual(calls_with(prompt), 1)


class TimedOutCalls(unittest.TestCase):
    def test_a_call_that_outlives_its_read_timeout_runs_once(self):
        bedrock = client(read_timeout=1, retries={"max_attempts": 10, "mode": "standard"})
        prompt = f"time out {uuid.uuid4()}"
        answer = bedrock.converse(**ask(prompt, "slower"))
        self.assertIn("synthetic", text_of(answer))
        self.assertGreaterEqual(answer["ResponseMetadata"]["RetryAttempts"], 3)
        self.assertEqual(calls_with(prompt), 1)


class WaitingStreams(unittest.TestCase):
    def test_a_stream_waits_longer_than_its_read_timeout(self):
        post("/v1/pause", {"model": "waiting"})
        resume = threading.Timer(13, post, ["/v1/resume", {"model": "waiting"}])
        resume.start()
        began = time.monotonic()
        prompt = f"wait {uuid.uuid4()}"
        answer = client(read_timeout=11, retries={"total_max_attempts": 1}).converse_stream(**ask(prompt, "waiting"))
        self.assertIn("synthetic", streamed_text(answer))
        self.assertGreater(time.monotonic() - began, 12)
        self.assertEqual(calls_with(prompt), 1)
        resume.join()


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"21 degrees in {city}"


class LangChain(unittest.TestCase):
    def setUp(self):
        self.model = ChatBedrockConverse(model=NOVA, max_tokens=60)

    def test_invoke(self):
        answer = self.model.invoke("Why is the sky blue?")
        self.assertIn("synthetic", answer.text)
        self.assertGreater(answer.usage_metadata["output_tokens"], 5)

    def test_endpoint_url(self):
        model = ChatBedrockConverse(model=NOVA, max_tokens=60, endpoint_url=SERVICE)
        self.assertIn("synthetic", model.invoke("Why?").text)

    def test_stream(self):
        self.assertIn("synthetic", "".join(chunk.text for chunk in self.model.stream("Why?")))

    def test_tool(self):
        answer = self.model.bind_tools([get_weather]).invoke("What is the weather in Rome?")
        self.assertEqual([call["name"] for call in answer.tool_calls], ["get_weather"])


if __name__ == "__main__":
    unittest.main()
