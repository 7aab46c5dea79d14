"""Anthropic's client for Python, unchanged but for its address and key in the environment."""

import base64
import struct
import threading
import unittest
import zlib

import anthropic
from anthropic import Anthropic

client = Anthropic(max_retries=0)
MODEL = "claude-haiku-4-5"
ask = {
    "model": MODEL,
    "max_tokens": 200,
    "messages": [{"role": "user", "content": "Why is the sky blue?"}],
}
weather = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def text_of(message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def png() -> str:
    """An image of one pixel, in base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    body = header + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode()


class AnthropicSdk(unittest.TestCase):
    def test_message(self):
        message = client.messages.create(**ask)
        self.assertIn("synthetic", text_of(message))
        self.assertEqual(message.stop_reason, "end_turn")
        self.assertGreater(message.usage.output_tokens, 5)

    def test_stream(self):
        with client.messages.stream(**ask) as stream:
            pieces = list(stream.text_stream)
            message = stream.get_final_message()
        self.assertGreater(len(pieces), 2)
        self.assertEqual("".join(pieces), text_of(message))
        self.assertIn("synthetic", text_of(message))

    def test_tool_loop(self):
        wanted = {**ask, "tools": [weather]}
        for streamed in [False, True]:
            with self.subTest(streamed=streamed):
                if streamed:
                    with client.messages.stream(**wanted) as stream:
                        message = stream.get_final_message()
                else:
                    message = client.messages.create(**wanted)
                self.assertEqual(message.stop_reason, "tool_use")
                call = next(block for block in message.content if block.type == "tool_use")
                self.assertEqual(call.name, "get_weather")
                result = {"type": "tool_result", "tool_use_id": call.id, "content": f"21 degrees in {call.input['city']}"}
                history = [
                    *ask["messages"],
                    {"role": "assistant", "content": message.content},
                    {"role": "user", "content": [result]},
                ]
                last = client.messages.create(**{**wanted, "messages": history})
                self.assertRegex(text_of(last), "21 degrees")

    def test_image(self):
        source = {"type": "base64", "media_type": "image/png", "data": png()}
        content = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
        message = client.messages.create(**{**ask, "messages": [{"role": "user", "content": content}]})
        self.assertIn("synthetic", text_of(message))

    def test_beta(self):
        message = client.beta.messages.create(**ask, betas=["context-management-2025-06-27"])
        self.assertIn("synthetic", text_of(message))

    def test_count_tokens(self):
        counted = client.messages.count_tokens(model=MODEL, messages=ask["messages"])
        self.assertGreater(counted.input_tokens, 5)

    def test_models(self):
        self.assertIn(MODEL, [model.id for model in client.models.list(limit=1)])
        self.assertEqual(client.models.retrieve(MODEL).display_name, "Claude Haiku 4.5")

    def test_errors(self):
        with self.assertRaises(anthropic.NotFoundError) as caught:
            client.messages.create(**{**ask, "model": "claude-opus-4-1"})
        self.assertEqual(caught.exception.body["error"]["type"], "not_found_error")
        self.assertIn(MODEL, caught.exception.body["error"]["message"])
        with self.assertRaises(anthropic.BadRequestError):
            client.messages.create(**{**ask, "messages": []})

    def test_calls_at_a_time(self):
        answers = []

        def call(n: int):
            asked = {**ask, "messages": [{"role": "user", "content": f"Question {n}"}]}
            answers.append(text_of(client.messages.create(**asked)))

        threads = [threading.Thread(target=call, args=[n]) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len([text for text in answers if "synthetic" in text]), 8)


if __name__ == "__main__":
    unittest.main(verbosity=2)
