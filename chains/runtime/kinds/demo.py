"""Providers of the kind ``demo``: the embedded model."""

from langchain_core.language_models import BaseChatModel
from pydantic import ValidationError

from chains.runtime import errors
from chains.runtime.demo import DemoChatModel
from chains.runtime.kinds import check_params
from chains.runtime.plan import PlanStep, PlanTarget
from chains.runtime.spec import describe


def build(target: PlanTarget, step: PlanStep) -> BaseChatModel:
    check_params("demo", step.params.extra)
    try:
        return DemoChatModel(
            model=target.model,
            max_tokens=step.params.max_tokens,
            json_schema=step.parser.json_schema,
            **step.params.extra,
        )
    except ValidationError as error:
        raise errors.InvalidSpec(describe(error)) from error


def translate(error: Exception) -> errors.ProviderError:
    return errors.ProviderFailed()
