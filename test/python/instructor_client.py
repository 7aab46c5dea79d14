"""instructor: answers in the form of a model of pydantic, in each of its modes for OpenAI's API."""

import unittest
from collections.abc import Iterable

import instructor
from instructor import Mode
from openai import OpenAI

from support import MODELS, QUESTION, Answer, Plan, is_synthetic

MODES = [Mode.TOOLS, Mode.TOOLS_STRICT, Mode.JSON, Mode.JSON_SCHEMA, Mode.RESPONSES_TOOLS]
messages = [{"role": "user", "content": QUESTION}]


def client(mode: Mode) -> instructor.Instructor:
    return instructor.from_openai(OpenAI(max_retries=0), mode=mode)


class Instructor(unittest.TestCase):
    def test_create(self):
        for model in MODELS:
            for mode in MODES:
                with self.subTest(model=model, mode=mode):
                    plan = client(mode).create(model=model, messages=messages, response_model=Plan, max_retries=0)
                    self.assertTrue(is_synthetic(plan.city))

    def test_create_partial(self):
        # instructor checks parts of an answer strictly, so that a form with an enum fails with every provider.
        for model in MODELS:
            for mode in [Mode.TOOLS, Mode.JSON_SCHEMA]:
                with self.subTest(model=model, mode=mode):
                    answers = client(mode).create_partial(model=model, messages=messages, response_model=Answer)
                    self.assertTrue(is_synthetic(list(answers)[-1].justification))

    def test_create_iterable(self):
        for model in MODELS:
            with self.subTest(model):
                answers = client(Mode.TOOLS).create_iterable(model=model, messages=messages, response_model=Answer)
                self.assertGreater(len(list(answers)), 0)

    def test_parallel_tools(self):
        for model in MODELS:
            with self.subTest(model):
                ask = {"model": model, "messages": messages, "response_model": Iterable[Answer | Plan]}
                called = list(client(Mode.PARALLEL_TOOLS).create(**ask))
                self.assertGreater(len(called), 0)
                self.assertIsInstance(called[0], (Answer, Plan))


if __name__ == "__main__":
    unittest.main(verbosity=2)
