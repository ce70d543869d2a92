"""A kind of provider whose chat model cannot stream, as LangChain allows it."""

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from chains.runtime import errors
from chains.runtime.providers.reach import ModelParams, PlanTarget


class PlainModel(BaseChatModel):
    @property
    def _llm_type(self) -> str:
        return "plain"

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        message = AIMessage(f"re: {messages[-1].text}", response_metadata={"finish_reason": "stop"})
        return ChatResult(generations=[ChatGeneration(message=message)])


def build(target: PlanTarget, params: ModelParams) -> BaseChatModel:
    return PlainModel()


def translate(error: Exception) -> errors.ProviderError:
    return errors.ProviderFailed()
