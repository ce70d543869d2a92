"""Kinds of provider as a package adds them; named in CHAINHUB_RUNNABLES.

One has a fake model of LangChain's. Of the other the package is missing.
"""

from langchain_core.language_models.fake_chat_models import FakeListChatModel

from chains.runtime.providers import register_provider_kind
from chains.runtime.providers.reach import ModelParams, PlanTarget


def build(target: PlanTarget, params: ModelParams) -> FakeListChatModel:
    return FakeListChatModel(responses=[f"{target.model}: {params.extra['says']}"])


register_provider_kind("parrot", label="Parrot", build=build, extra_params=["says"], needs_key=False)
register_provider_kind(
    "absent",
    label="Absent",
    module="tests.nowhere",
    package="no_such_package",
    install="pip install no-such-package",
)
