"""OpenAI's client for Python: chat, streams, tools and answers in the form of a model of pydantic."""

import json
import unittest

import openai
from openai import OpenAI
from pydantic import BaseModel, Field

from support import MODELS, QUESTION, Plan, is_synthetic

client = OpenAI(max_retries=0)
messages = [{"role": "user", "content": QUESTION}]


class GetWeather(BaseModel):
    """The weather of a city."""

    city: str


class Days(BaseModel):
    count: int = Field(ge=1, le=14)
    names: list[str] = Field(min_length=2)


class OpenAiSdk(unittest.TestCase):
    def test_chat(self):
        for model in MODELS:
            with self.subTest(model):
                answer = client.chat.completions.create(model=model, messages=messages)
                self.assertTrue(is_synthetic(answer.choices[0].message.content))
                self.assertEqual(answer.choices[0].finish_reason, "stop")

    def test_chat_stream(self):
        for model in MODELS:
            with self.subTest(model):
                options = {"include_usage": True}
                stream = client.chat.completions.create(
                    model=model, messages=messages, stream=True, stream_options=options
                )
                chunks = list(stream)
                pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
                self.assertTrue(is_synthetic("".join(piece or "" for piece in pieces)))
                self.assertGreater(len(pieces), 2)
                self.assertGreater(chunks[-1].usage.completion_tokens, 0)

    def test_tool_loop(self):
        tools = [openai.pydantic_function_tool(GetWeather, name="get_weather")]
        for model in MODELS:
            with self.subTest(model):
                history = [{"role": "user", "content": "What is the weather?"}]
                first = client.chat.completions.create(model=model, messages=history, tools=tools).choices[0]
                self.assertEqual(first.finish_reason, "tool_calls")
                self.assertEqual([call.function.name for call in first.message.tool_calls], ["get_weather"])
                history.append(first.message)
                for call in first.message.tool_calls:
                    city = json.loads(call.function.arguments)["city"]
                    result = f"21 degrees in {city}"
                    history.append({"role": "tool", "tool_call_id": call.id, "content": result})
                last = client.chat.completions.create(model=model, messages=history, tools=tools).choices[0]
                self.assertRegex(last.message.content, "21 degrees in synthetic")

    def test_tool_loop_stream(self):
        tools = [openai.pydantic_function_tool(GetWeather, name="get_weather")]
        for model in MODELS:
            with self.subTest(model):
                history = [{"role": "user", "content": "What is the weather?"}]
                with client.chat.completions.stream(model=model, messages=history, tools=tools) as stream:
                    message = stream.get_final_completion().choices[0].message
                call = message.tool_calls[0]
                self.assertTrue(is_synthetic(call.function.parsed_arguments.city))
                # The parsed message goes back as it is, with the fields that only the client knows.
                history += [message, {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}]
                with client.chat.completions.stream(model=model, messages=history, tools=tools) as stream:
                    self.assertRegex(stream.get_final_completion().choices[0].message.content, "21 degrees")

    def test_chat_parse(self):
        for model in MODELS:
            with self.subTest(model):
                ask = {"model": model, "messages": messages, "response_format": Plan}
                choice = client.chat.completions.parse(**ask).choices[0]
                self.assertIsInstance(choice.message.parsed, Plan)
                self.assertTrue(is_synthetic(choice.message.parsed.city))
                self.assertEqual(choice.finish_reason, "stop")
                with client.chat.completions.stream(**ask) as stream:
                    deltas = [event for event in stream if event.type == "content.delta"]
                    self.assertEqual(stream.get_final_completion().choices[0].message.parsed, choice.message.parsed)
                self.assertGreater(len(deltas), 1)

    def test_chat_parse_with_constraints(self):
        ask = {"model": "nova-2-lite", "messages": messages, "response_format": Days}
        self.assertIsInstance(client.chat.completions.parse(**ask).choices[0].message.parsed, Days)

    def test_chat_parse_with_tools(self):
        tools = [openai.pydantic_function_tool(GetWeather)]
        for model in MODELS:
            with self.subTest(model):
                ask = {"model": model, "tools": tools, "response_format": Plan}
                message = client.chat.completions.parse(messages=messages, **ask).choices[0].message
                call = message.tool_calls[0]
                self.assertIsInstance(call.function.parsed_arguments, GetWeather)
                result = {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}
                last = client.chat.completions.parse(messages=[*messages, message, result], **ask)
                self.assertIsInstance(last.choices[0].message.parsed, Plan)

    def test_json_object(self):
        content = 'Answer in JSON with the keys "city" and "reason".'
        for model in MODELS:
            with self.subTest(model):
                answer = client.chat.completions.create(
                    model=model,
                    messages=[{"role": "user", "content": content}],
                    response_format={"type": "json_object"},
                )
                self.assertEqual(set(json.loads(answer.choices[0].message.content)), {"city", "reason"})

    def test_responses_parse(self):
        for model in MODELS:
            with self.subTest(model):
                response = client.responses.parse(model=model, input=QUESTION, text_format=Plan)
                self.assertIsInstance(response.output_parsed, Plan)
                with client.responses.stream(model=model, input=QUESTION, text_format=Plan) as stream:
                    self.assertEqual(stream.get_final_response().output_parsed, response.output_parsed)

    def test_responses_tool_loop(self):
        tools = [openai.pydantic_function_tool(GetWeather)["function"] | {"type": "function"}]
        for model in MODELS:
            with self.subTest(model):
                ask = {"model": model, "tools": tools}
                history = [{"role": "user", "content": "What is the weather?"}]
                first = client.responses.parse(input=history, **ask)
                call = next(item for item in first.output if item.type == "function_call")
                self.assertTrue(is_synthetic(json.loads(call.arguments)["city"]))
                result = {"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"}
                # All items go back as they are, with the fields that only the client knows.
                last = client.responses.create(input=[*history, *first.output, result], **ask)
                self.assertRegex(last.output_text, "21 degrees")

    def test_refusal_names_a_model(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            client.chat.completions.parse(model="llama3-3-70b", messages=messages, response_format=Plan)
        self.assertEqual(caught.exception.param, "response_format")
        self.assertIn("nova-2-lite", caught.exception.message)


if __name__ == "__main__":
    unittest.main(verbosity=2)
