"""Reads chat completions: the bytes of an answer, streamed or whole, become normalised pieces.

Wire format: OpenAI API reference, "Create chat completion" and "Streaming". Servers and gateways deviate from
it in many ways. So each value is converted by itself, and one that does not convert is dropped alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from langchain_core.messages.tool import ToolCallChunk

from chains.runtime import errors
from chains.runtime.pricing import Usage
from chains.runtime.providers.failures import failure_in, judged
from chains.runtime.providers.pieces import End, Piece, finish_reason_of, known, stored_word, tokens
from chains.runtime.providers.sse import DONE, EventStream, NotJSON, ServerEvent, decoded
from chains.runtime.providers.tidy import Tidy
from chains.runtime.providers.toolcalls import ToolCalls
from chains.runtime.wire.values import encode

# More than any answer that is kept; the rest of a larger body is not read.
MAX_BODY_BYTES = 16 * 1024 * 1024
BOM = b"\xef\xbb\xbf"
SPACE = b" \t\r\n"
# What stands for no finish reason.
NO_REASON = ("", "null", "none")


@dataclass(slots=True)
class AnswerReader:
    """Reads one answer from its bytes. What the body is decides how it is read, whatever its label says.

    ``fault`` is set where the answer reports a failure; raise it after the pieces that came before it.
    """

    splits_thinking: bool = False
    fault: errors.ChainHubError | None = None
    # The last event was read; what follows is of no interest.
    is_over: bool = False
    _has_rubbish: bool = False
    _form: Literal["unknown", "events", "body"] = "unknown"
    _events: EventStream = field(default_factory=EventStream)
    _body: bytearray = field(default_factory=bytearray)
    _chat: "Chat" = field(init=False)

    def __post_init__(self) -> None:
        self._chat = Chat(Tidy(self.splits_thinking))

    @property
    def may_be_complete(self) -> bool:
        """Whether nothing more may have to come; quick to tell, and wrong for some bodies."""
        if self._form == "body":
            return bytes(self._body[-64:]).rstrip(SPACE).endswith((b"}", b"]"))
        return bool(self._chat.finish_reason)

    @property
    def is_complete(self) -> bool:
        """Whether the answer needs nothing more, though more may follow, such as the usage."""
        if self._form != "body":
            return self.is_over or bool(self._chat.finish_reason)
        with suppress(NotJSON):
            return isinstance(decoded(bytes(self._body)), dict | list)
        return False

    def add(self, data: bytes) -> list[Piece]:
        """The pieces in these bytes, which may end anywhere."""
        if self._form == "unknown":
            begin = (bytes(self._body) + data).removeprefix(BOM).lstrip(SPACE)
            if BOM.startswith(begin):
                self._body = bytearray(begin)
                return []
            self._form = "body" if begin[:1] in (b"{", b"[", b"<") else "events"
            data, self._body = begin, bytearray()
        if self._form == "events":
            return self._collected(self._events.add(data))
        self._body += data
        if len(self._body) > MAX_BODY_BYTES:
            self.fault = errors.OutputInvalid("The model's answer is longer than ChainHub keeps.")
        return []

    def finish(self) -> list[Piece]:
        """The pieces that the end of the body completes; the last one has the answer's end.

        Sets ``fault``: to ProviderCut for an answer that is not complete, to ProviderGarbage for one that is
        none.
        """
        pieces = self._rest()
        if self.fault is not None:
            return pieces
        if not self._chat.began and (self._has_rubbish or not self.is_over):
            self.fault = errors.ProviderGarbage()
        elif not self.is_over and not self._chat.finish_reason:
            self.fault = errors.ProviderCut()
        else:
            return pieces + self._chat.end()
        return pieces + self._chat.rest()

    def _rest(self) -> list[Piece]:
        if self._form == "body":
            return self._of_body()
        return [] if self.is_over else self._collected(self._events.rest(), damaged=errors.ProviderCut)

    def _collected(
        self,
        events: Iterator[ServerEvent],
        damaged: type[errors.ProviderError] = errors.ProviderGarbage,
    ) -> list[Piece]:
        """The pieces of the events; ``damaged`` is the fault where one is no JSON."""
        pieces: list[Piece] = []
        try:
            for event in events:
                if event.value is DONE:
                    self.is_over = True
                    break
                if (piece := self._of_event(event, damaged)) is not None:
                    pieces.append(piece)
                if self.fault is not None:
                    break
        except errors.ChainHubError as fault:
            self.fault = fault
        if self.fault is not None and self._chat.finish_reason:
            # Once the finish reason is read, the answer is complete, whatever breaks after it.
            self.is_over, self.fault = True, None
        return pieces if self.fault is None else pieces + self._chat.rest()

    def _of_event(self, event: ServerEvent, damaged: type[errors.ProviderError]) -> Piece | None:
        value = event.value
        if isinstance(value, NotJSON):
            if value.text.startswith("{"):
                # What it said is lost, so the answer would have a hole.
                raise damaged()
            value = value.text
        return self._of_value(value, name=event.name)

    def _of_body(self) -> list[Piece]:
        try:
            value = decoded(bytes(self._body))
        except NotJSON:
            self.fault = errors.ProviderGarbage()
            return []
        piece = self._of_value(value, is_body=True)
        self.is_over = self._chat.began
        return [piece] if piece else []

    def _of_value(self, value: Any, *, name: str = "", is_body: bool = False) -> Piece | None:
        """What a value says; text that stands beside a failure is paid for, and comes before it."""
        piece = self._chat.piece(value, is_body=is_body) if isinstance(value, dict) else None
        self._has_rubbish = self._has_rubbish or not isinstance(value, dict) or "choices" not in value
        told = failure_in(value, name=name)
        self.fault = judged(told) if told else self._chat.fault
        return piece


@dataclass(slots=True)
class Chat:
    """The answer so far, from the objects of which it consists. ``began``: there was one of a chat.

    ``fault`` is set where the finish reason says that the answer is broken off.
    """

    tidy: Tidy
    began: bool = False
    fault: errors.ProviderError | None = None
    finish_reason: str = ""
    usage: Usage | None = None
    metadata: dict[str, Any] = field(default_factory=lambda: {"model_provider": "openai"})
    _has_said: bool = False
    _tools: ToolCalls = field(default_factory=ToolCalls)

    def piece(self, data: Mapping[str, Any], *, is_body: bool = False) -> Piece | None:
        """What one object says, ``None`` where that is nothing new."""
        choice = _first_choice(data.get("choices"))
        self._note(data, choice, is_body=is_body)
        self.began = self.began or isinstance(data.get("choices"), list)
        if choice is None:
            return None
        delta, is_whole = choice.get("delta"), False
        if not isinstance(delta, dict) and isinstance(choice.get("message"), dict):
            # Some servers repeat the whole answer in the last event.
            delta, is_whole = ({} if self._has_said else choice["message"]), True
        piece = self._of_delta(delta, is_whole=is_whole) if isinstance(delta, dict) else None
        self._end_by(choice.get("finish_reason"))
        return piece

    def _end_by(self, reason: Any) -> None:
        if isinstance(reason, bool | dict | list) or str(reason or "").strip().lower() in NO_REASON:
            return
        word = stored_word(reason)
        try:
            finish_reason_of(word)
            self.finish_reason = word
        except errors.ProviderFailed as fault:
            self.fault = fault

    def end(self) -> list[Piece]:
        """The last pieces of a complete answer."""
        reason = finish_reason_of(self.finish_reason)
        if not self.finish_reason and self._tools.any:
            reason = "tool_calls"
        end = End(
            finish_reason=reason,
            raw_finish_reason=self.finish_reason,
            usage=self.usage,
            metadata=self.metadata,
        )
        return [*self.rest(), Piece(end=end)]

    def rest(self) -> list[Piece]:
        """What was held back of the texts."""
        text, reasoning = self.tidy.rest()
        return [Piece(text=text, reasoning=reasoning)] if text or reasoning else []

    def _of_delta(self, delta: Mapping[str, Any], *, is_whole: bool) -> Piece | None:
        text, reasoning = _texts(delta.get("content"))
        reasoning += _reasoning(delta)
        if isinstance(refusal := delta.get("refusal"), str):
            text += refusal
        if text or reasoning:
            text, reasoning = self.tidy.add(text, reasoning)
        calls: Sequence[ToolCallChunk] = ()
        if delta.get("tool_calls") or delta.get("function_call"):
            calls = self._tools.pieces(delta, is_whole=is_whole)
        self._has_said = self._has_said or bool(text)
        if text or reasoning or calls:
            return Piece(text=text, reasoning=reasoning, tool_calls=calls)
        return None

    def _note(self, data: Mapping[str, Any], choice: Mapping[str, Any] | None, *, is_body: bool) -> None:
        groq = data.get("x_groq")
        told = (
            data.get("usage"),
            choice.get("usage") if choice else None,
            groq.get("usage") if isinstance(groq, dict) else None,
        )
        for counted in told:
            if isinstance(counted, dict) and (usage := _usage(counted)):
                # Some servers reset their count in the last event.
                if self.usage is None or usage.input_tokens or usage.output_tokens:
                    self.usage = usage
                if is_body:
                    self.metadata["token_usage"] = encode(counted)
        if isinstance(model := data.get("model"), str) and model:
            self.metadata["model_name"] = model
        for name in ("system_fingerprint", "service_tier") + (("id",) if is_body else ()):
            if isinstance(value := data.get(name), str) and value:
                self.metadata[name] = value


def _first_choice(choices: Any) -> Mapping[str, Any] | None:
    """The choice with index 0: others are alternatives, which nobody asked for."""
    if not isinstance(choices, list):
        return None
    return next((c for c in choices if isinstance(c, dict) and c.get("index") in (0, None, "0")), None)


def _texts(content: Any) -> tuple[str, str]:
    """The text and the reasoning in a message's content: a text, or a list of blocks."""
    if isinstance(content, str):
        return content, ""
    if isinstance(content, dict):
        content = [content]
    text = reasoning = ""
    for block in content if isinstance(content, list) else ():
        if isinstance(block, str):
            text += block
        elif isinstance(block, dict):
            kind = block.get("type")
            if kind in ("thinking", "reasoning"):
                inner = block.get("thinking") or block.get("reasoning") or block.get("text")
                reasoning += "".join(_texts(inner))
            elif isinstance(said := block.get("text") or block.get("refusal"), str):
                text += said
    return text, reasoning


def _reasoning(delta: Mapping[str, Any]) -> str:
    """The reasoning beside a message's content. Servers that send it under two names mean it once."""
    for name in ("reasoning_content", "reasoning", "thinking"):
        if isinstance(said := delta.get(name), str) and said:
            return said
    details = delta.get("reasoning_details")
    blocks = [block for block in details if isinstance(block, dict)] if isinstance(details, list) else []
    said = (block.get("text") or block.get("summary") for block in blocks)
    return "".join(text for text in said if isinstance(text, str))


def _usage(counted: Mapping[str, Any]) -> Usage | None:
    read = tokens(counted.get("prompt_tokens", counted.get("input_tokens")))
    written = tokens(counted.get("completion_tokens", counted.get("output_tokens")))
    if read is None or written is None:
        return None
    inputs = _first_dict(counted, "prompt_tokens_details", "input_tokens_details")
    outputs = _first_dict(counted, "completion_tokens_details", "output_tokens_details")
    details = {
        "cached": next(
            (
                value
                for value in (
                    inputs.get("cached_tokens"),
                    counted.get("prompt_cache_hit_tokens"),
                    counted.get("cached_tokens"),
                )
                if value is not None
            ),
            None,
        ),
        "cache_written": inputs.get("cache_write_tokens"),
        "audio_in": inputs.get("audio_tokens"),
        "reasoning": outputs.get("reasoning_tokens", counted.get("reasoning_tokens")),
        "audio_out": outputs.get("audio_tokens"),
    }
    return Usage(input_tokens=read, output_tokens=written, details=known(details))


def _first_dict(data: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    return next((data[name] for name in names if isinstance(data.get(name), dict)), {})
