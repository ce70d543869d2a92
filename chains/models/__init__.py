"""The database models."""

from chains.models.chains import Chain, ChainLabel, ChainVersion
from chains.models.feedback import Feedback
from chains.models.prompts import Prompt, PromptLabel, PromptVersion
from chains.models.providers import LearnedHabit, Price, Provider
from chains.models.runs import Run
from chains.models.versions import LabelMove

__all__ = [
    "Chain",
    "ChainLabel",
    "ChainVersion",
    "Feedback",
    "LabelMove",
    "LearnedHabit",
    "Price",
    "Prompt",
    "PromptLabel",
    "PromptVersion",
    "Provider",
    "Run",
]
