"""The plan of a code chain: the runnable's types define its schemas, and LangChain runs it."""

import enum
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackManager
from langchain_core.documents.base import BaseMedia
from langchain_core.messages import AIMessageChunk, BaseMessage, message_chunk_to_message
from langchain_core.outputs import LLMResult
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableBinding, RunnableConfig, RunnableSequence
from pydantic import BaseModel, RootModel, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from chains.runtime import errors
from chains.runtime.context import ModelCall, RunContext
from chains.runtime.names import digest
from chains.runtime.plans.base import Input, Plan
from chains.runtime.providers import translated_by_sdk
from chains.runtime.providers.finish import finish_word, meaning_of
from chains.runtime.providers.langchain import finish_reason_in
from chains.runtime.providers.usage import usage_of
from chains.runtime.registry import CustomUserType, Registered
from chains.runtime.wire.config import CONFIGURABLE
from chains.runtime.wire.fielderrors import MAX_FAULTS, field_errors
from chains.runtime.wire.messages import cleaned, without_pieces
from chains.runtime.wire.values import add, encode

# Fields that a caller may never set, even where the code declares them: they select a credential, or the
# server that receives it.
NEVER_CONFIGURABLE = re.compile(
    r"api_?key|api_?base|base_?url|endpoint|headers|proxy|secret|password|credential|(?:^|_)token$"
    r"|organization|http_.*client",
    re.IGNORECASE,
)
# Pydantic takes about 3 µs to list a fault.
MANY_FAULTS = 2000
# Models that a runnable receives as instances; other models of an input become dicts.
LANGCHAIN_OBJECTS = (BaseMessage, PromptValue, BaseMedia)


@dataclass(frozen=True, kw_only=True)
class CodePlan(Plan):
    """``configurable`` is the result of ``checked_configurable``."""

    entry: Registered

    @cached_property
    def _input_model(self) -> type[BaseModel]:
        return cast(type[BaseModel], self.entry.runnable.get_input_schema(self._config))

    @property
    def _config(self) -> RunnableConfig:
        return RunnableConfig(configurable=dict(self.configurable))

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        return _json_schema(self._input_model)

    @cached_property
    def output_schema(self) -> dict[str, Any]:
        return _json_schema(cast(type[BaseModel], self.entry.runnable.get_output_schema(self._config)))

    @cached_property
    def config_schema(self) -> dict[str, Any]:
        schema = _json_schema(self.entry.runnable.config_schema(include=list(self.entry.config_keys)))
        fields = schema.get("$defs", {}).get("Configurable", {}).get("properties", {})
        for name in [name for name in fields if NEVER_CONFIGURABLE.search(name)]:
            del fields[name]
        return schema

    @cached_property
    def digest(self) -> str:
        return digest([self.chain_slug, self.package, encode(dict(self.configurable))])

    def check_input(self, value: Any) -> Input:
        given = without_pieces(value)
        try:
            checked = self._input_model.model_validate(given)
        except ValidationError as error:
            raise errors.InvalidInput(errors=self._faults(error, given)) from error
        except (TypeError, KeyError, AttributeError) as error:
            # LangChain's validation of messages raises these for data that is not a message.
            raise errors.InvalidInput(
                "The input does not fit the chain's schema: a message is an object with a type and what "
                "that type needs, such as content or tool_call_id."
            ) from error
        return Input(data=value, value=cleaned(self._unpacked(checked), system=self.system_messages))

    def _faults(self, error: ValidationError, value: Any) -> list[errors.FieldError]:
        """The first faults; of very many, those at the beginnings of lists, because pydantic lists all."""
        if error.error_count() > MANY_FAULTS:
            try:
                self._input_model.model_validate(_beginning(value))
            except ValidationError as fewer:
                error = fewer
            except (TypeError, KeyError, AttributeError):
                pass
        return field_errors(error)

    def _unpacked(self, checked: BaseModel) -> Any:
        """Convert a model that only describes the input to a dict; keep a model that the code expects."""
        value = checked.root if isinstance(checked, RootModel) else checked
        if not isinstance(value, BaseModel) or isinstance(value, LANGCHAIN_OBJECTS) or self._wants(value):
            return value
        # LangChain renames prompt variables that no pydantic field may be called, such as {json} and {copy}.
        return {
            field.alias if field.alias and name.startswith("private_") else name: getattr(value, name)
            for name, field in type(value).model_fields.items()
        }

    def _wants(self, value: BaseModel) -> bool:
        """Whether the code expects the model: by its class, or by the annotation of the first runnable."""
        # Compared by name too, because chains written for LangServe use LangServe's class.
        if any(cls is CustomUserType or cls.__name__ == "CustomUserType" for cls in type(value).__mro__):
            return True
        first = self.entry.runnable
        while isinstance(first, RunnableBinding | RunnableSequence):
            first = first.bound if isinstance(first, RunnableBinding) else first.first
        return bool(_own_input_type(first) is type(value))

    async def invoke(self, value: Any, context: RunContext, config: RunnableConfig) -> Any:
        return await self.entry.runnable.ainvoke(value, _listening(config, context))

    def stream(self, value: Any, context: RunContext, config: RunnableConfig) -> AsyncGenerator[Any, None]:
        stream = self.entry.runnable.astream(value, _listening(config, context))
        return cast(AsyncGenerator[Any, None], stream)

    def langchain_events(
        self, value: Any, context: RunContext, config: RunnableConfig
    ) -> AsyncIterator[Mapping[str, Any]]:
        config = _listening(config, context)
        return cast(Any, self.entry.runnable.astream_events(value, config, version="v2"))

    def whole(self, pieces: Sequence[Any]) -> Any:
        if not pieces:
            return None
        total = pieces[0]
        for piece in pieces[1:]:
            total = add(total, piece)
        return message_chunk_to_message(total) if isinstance(total, AIMessageChunk) else total

    def known_fault(self, error: Exception) -> errors.ChainHubError | None:
        """The ProviderError for an exception of an SDK that a provider kind can translate."""
        return translated_by_sdk(error)


def _beginning(value: Any) -> Any:
    """The value with no more than MAX_FAULTS items in each list."""
    if isinstance(value, list):
        return [_beginning(inner) for inner in value[:MAX_FAULTS]]
    if isinstance(value, dict):
        return {key: _beginning(inner) for key, inner in value.items()}
    return value


def checked_configurable(entry: Registered, given: Any) -> dict[str, Any]:
    """The values of ``given`` for the fields that the runnable declares, validated.

    Raises InvalidInput; its ``loc`` is relative to the config.
    """
    declared = [spec.id for spec in entry.runnable.config_specs]
    if not declared or given in (None, {}):
        return {}
    if CONFIGURABLE not in entry.config_keys:
        raise errors.InvalidInput("This chain lets its callers configure nothing: leave 'configurable' out.")
    if isinstance(given, dict):
        given = {name: value for name, value in given.items() if not NEVER_CONFIGURABLE.search(name)}
    try:
        checked: Any = entry.runnable.config_schema(include=[CONFIGURABLE]).model_validate(
            {CONFIGURABLE: given}
        )
    except ValidationError as error:
        raise errors.InvalidInput("The config is not valid.", errors=field_errors(error)) from error
    model = checked.configurable
    fields = type(model).model_fields
    chosen = {fields[name].alias or name: getattr(model, name) for name in model.model_fields_set}
    return {name: value.value if isinstance(value, enum.Enum) else value for name, value in chosen.items()}


def _own_input_type(runnable: Runnable[Any, Any]) -> Any:
    try:
        return runnable.InputType
    except TypeError:
        # LangChain raises this where it cannot infer the type.
        return None


def _json_schema(model: type[BaseModel]) -> dict[str, Any]:
    try:
        return model.model_json_schema()
    except PydanticInvalidForJsonSchema as error:
        raise errors.InvalidSpec(f"A type of this chain has no JSON Schema: {error}") from error


def _listening(config: RunnableConfig, context: RunContext) -> RunnableConfig:
    """``config`` with a callback handler that records model calls."""
    given = config.get("callbacks") or []
    handlers = given.handlers if isinstance(given, BaseCallbackManager) else given
    return {**config, "callbacks": [*handlers, _CallRecorder(context=context)]}


@dataclass(kw_only=True)
class _CallRecorder(AsyncCallbackHandler):
    """Records the model calls of a run: the model, its finish reason and its token usage."""

    context: RunContext
    models: dict[UUID, Mapping[str, Any]] = field(default_factory=dict)

    async def on_chat_model_start(
        self, serialized: Any, messages: Any, *, run_id: UUID, metadata: Any = None, **kwargs: Any
    ) -> None:
        self.models[run_id] = metadata or {}

    async def on_llm_start(
        self, serialized: Any, prompts: Any, *, run_id: UUID, metadata: Any = None, **kwargs: Any
    ) -> None:
        self.models[run_id] = metadata or {}

    async def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        metadata = self.models.pop(run_id, {})
        generation = response.generations[0][0] if response.generations and response.generations[0] else None
        message = getattr(generation, "message", None)
        answered = getattr(message, "response_metadata", None) or {}
        word = finish_word(finish_reason_in(answered))
        self.context.calls.append(
            ModelCall(
                step="",
                provider=str(encode(metadata.get("ls_provider") or "")),
                model=str(encode(metadata.get("ls_model_name") or answered.get("model_name") or "")),
                finish_reason=(meaning_of(word) or word) if word else "",
                raw_finish_reason=word,
                usage=usage_of(message),
                cost_usd=None,
            )
        )
