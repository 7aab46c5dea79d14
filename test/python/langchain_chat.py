"""LangChain's ChatOpenAI: with_structured_output in all three methods, and a tool loop."""

import unittest

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from support import MODELS, QUESTION, Answer, Plan, is_synthetic


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"21 degrees in {city}"


def chat(model: str, **options) -> ChatOpenAI:
    return ChatOpenAI(model=model, max_retries=0, **options)


class LangChain(unittest.TestCase):
    def structured(self, method: str, **options):
        for model in MODELS:
            with self.subTest(model):
                runnable = chat(model, **options).with_structured_output(Plan, method=method)
                plan = runnable.invoke(QUESTION)
                self.assertIsInstance(plan, Plan)
                self.assertTrue(is_synthetic(plan.city))
                self.assertIsInstance(list(runnable.stream(QUESTION))[-1], Plan)

    def test_json_schema(self):
        self.structured("json_schema")

    def test_json_schema_by_responses(self):
        self.structured("json_schema", use_responses_api=True)

    def test_function_calling(self):
        self.structured("function_calling")

    def test_json_mode(self):
        for model in MODELS:
            with self.subTest(model):
                runnable = chat(model).with_structured_output(Answer, method="json_mode")
                asked = "Return a JSON blob with keys 'answer' and 'justification'. What is heavier?"
                self.assertIsInstance(runnable.invoke(asked), Answer)

    def test_include_raw_and_strict(self):
        for model in MODELS:
            for method in ["json_schema", "function_calling"]:
                with self.subTest(model=model, method=method):
                    options = {"method": method, "include_raw": True, "strict": True}
                    result = chat(model).with_structured_output(Plan, **options).invoke(QUESTION)
                    self.assertIsNone(result["parsing_error"])
                    self.assertIsInstance(result["parsed"], Plan)

    def tool_loop(self, **options):
        for model in MODELS:
            with self.subTest(model):
                with_tools = chat(model, **options).bind_tools([get_weather])
                history = [HumanMessage("What is the weather?")]
                answer = with_tools.invoke(history)
                self.assertEqual(len(answer.tool_calls), 1)
                while answer.tool_calls:
                    history.append(answer)
                    history += [get_weather.invoke(call) for call in answer.tool_calls]
                    answer = with_tools.invoke(history)
                self.assertRegex(answer.text, "21 degrees in synthetic")

    def test_tool_loop(self):
        self.tool_loop()

    def test_tool_loop_stream(self):
        self.tool_loop(streaming=True)

    def test_tool_loop_by_responses(self):
        self.tool_loop(use_responses_api=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
