"""What the tests of all Python clients share: where the service is, its models, and the form of an answer."""

import os
from enum import Enum
from typing import Literal, Optional

from pydantic import BaseModel, Field

BASE_URL = os.environ["OPENAI_BASE_URL"]
API_KEY = os.environ["OPENAI_API_KEY"]

# The first gets its schemas through a forced tool, the second has a mode for schemas.
MODELS = ["nova-2-lite", "claude-haiku-4-5"]

QUESTION = "Plan a trip to Rome."


class Season(Enum):
    spring = "spring"
    autumn = "autumn"


class Stop(BaseModel):
    name: str
    cost: Optional[float]


class Budget(BaseModel):
    currency: Literal["EUR"]
    amount: float


class Plan(BaseModel):
    """A trip of some days."""

    city: str = Field(description="Where to go.")
    days: int
    season: Season
    stops: list[Stop]
    budget: Budget


class Answer(BaseModel):
    answer: str
    justification: str


def is_synthetic(text: str) -> bool:
    """Whether the simulator generated the text."""
    return "synthetic" in text
