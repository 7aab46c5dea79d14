"""pydantic-ai: agents with a tool, whose output comes by each of its ways."""

import unittest

from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel

from support import MODELS, QUESTION, Plan, is_synthetic

APIS = [OpenAIChatModel, OpenAIResponsesModel]
OUTPUTS = [ToolOutput, NativeOutput, PromptedOutput]


class PydanticAi(unittest.TestCase):
    def each(self):
        for name in MODELS:
            for api in APIS:
                yield api(name), f"{name} by {api.__name__}"

    def test_outputs(self):
        for model, case in self.each():
            for output in OUTPUTS:
                with self.subTest(case, output=output.__name__):
                    result = Agent(model, output_type=output(Plan), retries=0).run_sync(QUESTION)
                    self.assertTrue(is_synthetic(result.output.city))

    def test_tool_loop(self):
        for model, case in self.each():
            with self.subTest(case):
                result = weather_agent(model).run_sync("What is the weather?")
                self.assertRegex(result.output, "21 degrees in synthetic")
                self.assertEqual(result.usage.tool_calls, 1)

    def test_tool_loop_with_output(self):
        for model, case in self.each():
            for output in [ToolOutput, NativeOutput]:
                with self.subTest(case, output=output.__name__):
                    agent = weather_agent(model, output_type=output(Plan))
                    self.assertTrue(is_synthetic(agent.run_sync(QUESTION).output.city))


class PydanticAiStream(unittest.IsolatedAsyncioTestCase):
    async def test_tool_loop(self):
        for name in MODELS:
            for api in APIS:
                with self.subTest(name, api=api.__name__):
                    async with weather_agent(api(name)).run_stream("What is the weather?") as result:
                        pieces = [piece async for piece in result.stream_text(delta=True)]
                    self.assertRegex("".join(pieces), "21 degrees in synthetic")

    async def test_output(self):
        for name in MODELS:
            for api in APIS:
                with self.subTest(name, api=api.__name__):
                    async with Agent(api(name), output_type=Plan).run_stream(QUESTION) as result:
                        plans = [plan async for plan in result.stream_output()]
                    self.assertTrue(is_synthetic(plans[-1].city))


def weather_agent(model, **options) -> Agent:
    agent = Agent(model, retries=0, **options)

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """The weather of a city."""
        return f"21 degrees in {city}"

    return agent


if __name__ == "__main__":
    unittest.main(verbosity=2)
