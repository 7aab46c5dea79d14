"""Calls of the SDKs of Anthropic and OpenAI that outlive their read timeout. Prints the answers."""

from concurrent.futures import ThreadPoolExecutor

from anthropic import Anthropic
from openai import OpenAI

patience = {"timeout": 0.4, "max_retries": 10}
messages = [{"role": "user", "content": "python"}]


def claude() -> str:
    message = Anthropic(**patience).messages.create(model="sonnet", max_tokens=50, messages=messages)
    return message.content[0].text


def gpt() -> str:
    answer = OpenAI(**patience).chat.completions.create(model="nova", max_tokens=50, messages=messages)
    return answer.choices[0].message.content


with ThreadPoolExecutor() as threads:
    for text in [threads.submit(claude), threads.submit(gpt)]:
        print(text.result())
