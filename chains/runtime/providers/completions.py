"""Reads chat completions: the objects of an answer, streamed or whole, become normalised pieces.

Wire format: OpenAI API reference, "Create chat completion" and "Streaming". Servers and gateways deviate from
it in many ways. So each value is converted by itself, and one that does not convert is dropped alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages.tool import ToolCallChunk

from chains.runtime.providers.collected import Collected, Said, texts_in
from chains.runtime.providers.finish import finish_word
from chains.runtime.providers.pieces import Piece
from chains.runtime.providers.usage import plain_counts


@dataclass(slots=True)
class Chat(Collected):
    metadata: dict[str, Any] = field(default_factory=lambda: {"model_provider": "openai"})
    _said: Said = field(default_factory=Said)
    _thought: Said = field(default_factory=Said)
    # What an alternative said, in case nothing else comes.
    _other: list[str] = field(default_factory=list)

    def knows(self, value: Mapping[str, Any]) -> bool:
        return "choices" in value

    def piece(self, value: Mapping[str, Any], *, name: str = "", is_body: bool = False) -> Piece | None:
        choices = value.get("choices")
        choice, others = self._choices(choices, is_body=is_body)
        self._note(value, choice, is_body=is_body)
        self.began = self.began or isinstance(choices, list | dict)
        if choice is None:
            self._note_other(choices)
            return None
        delta, is_whole = _delta(choice)
        text, reasoning = self._texts(delta, is_whole=is_whole)
        calls = self._calls(delta, is_whole=is_whole)
        word = finish_word(choice.get("finish_reason")) or finish_word(delta.get("finish_reason"))
        for other in others:
            delta, is_whole = _delta(other)
            calls = [*calls, *self._calls(delta, is_whole=is_whole)]
            word = finish_word(other.get("finish_reason")) or word
        return self._content(text, reasoning, calls, word=word)

    def _choices(
        self, choices: Any, *, is_body: bool
    ) -> tuple[Mapping[str, Any] | None, Sequence[Mapping[str, Any]]]:
        """The choice with index 0, and others of that index: some gateways split a message into them.

        Choices with another index are alternatives, which nobody asked for.
        """
        if isinstance(choices, dict):
            return choices, ()
        found = [each for each in choices if isinstance(each, dict)] if isinstance(choices, list) else []
        if is_body and len(found) == 1:
            return found[0], ()
        ours = [each for each in found if each.get("index") in (0, None, "0")]
        return (ours[0], ours[1:]) if ours else (None, ())

    def _note_other(self, choices: Any) -> None:
        if isinstance(choices, list) and len(choices) == 1 and isinstance(choices[0], dict):
            delta, _ = _delta(choices[0])
            self._other.append(texts_in(delta.get("content"))[0])

    def end(self) -> list[Piece]:
        is_all = "".join(self._other) if not (self._said.text or self._tools.any) else ""
        return [*([Piece(text=is_all)] if is_all else []), *Collected.end(self)]

    def _texts(self, delta: Mapping[str, Any], *, is_whole: bool) -> tuple[str, str]:
        text, reasoning = texts_in(delta.get("content"))
        reasoning += _reasoning(delta)
        refusal = delta.get("refusal")
        if isinstance(refusal, str) and refusal != text:
            text += refusal
        if is_whole:
            return self._said.new_in(text), self._thought.new_in(reasoning)
        return self._said.add(text), self._thought.add(reasoning)

    def _calls(self, delta: Mapping[str, Any], *, is_whole: bool) -> Sequence[ToolCallChunk]:
        if not (delta.get("tool_calls") or delta.get("function_call")):
            return ()
        # A whole message repeats the calls that came in pieces.
        if is_whole and self._tools.any:
            return ()
        return self._tools.pieces(delta, is_whole=is_whole)

    def _note(self, data: Mapping[str, Any], choice: Mapping[str, Any] | None, *, is_body: bool) -> None:
        groq = data.get("x_groq")
        for counted in (
            data.get("usage"),
            choice.get("usage") if choice else None,
            groq.get("usage") if isinstance(groq, dict) else None,
        ):
            if isinstance(counted, dict):
                self._counts.note(counted)
                if is_body:
                    self.metadata["token_usage"] = plain_counts(counted)
        self._note_words(
            data, model_name="model", system_fingerprint="system_fingerprint", service_tier="service_tier"
        )
        if is_body:
            self._note_words(data, id="id")


def _delta(choice: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """The choice's part of a message, and whether that is a whole message."""
    delta, message = choice.get("delta"), choice.get("message")
    for part, is_whole in ((delta, False), (message, True)):
        if isinstance(part, str) and part:
            return {"content": part}, is_whole
        if isinstance(part, dict) and part:
            return part, is_whole
    if isinstance(delta, dict) or isinstance(message, dict):
        return {}, False
    # The completions that came before chats have a text in their choices.
    return {"content": choice.get("text")}, False


def _reasoning(delta: Mapping[str, Any]) -> str:
    """The reasoning beside a message's content. Servers that send it under two names mean it once."""
    for name in ("reasoning_content", "reasoning", "thinking", "reasoning_text", "thinking_blocks"):
        said = delta.get(name)
        if isinstance(said, dict | list):
            said = "".join(texts_in(_as_reasoning(said)))
        if isinstance(said, str) and said:
            return said
    details = delta.get("reasoning_details")
    blocks = [block for block in details if isinstance(block, dict)] if isinstance(details, list) else []
    told = (block.get("text") or block.get("summary") for block in blocks)
    return "".join(text for text in told if isinstance(text, str))


def _as_reasoning(said: Any) -> Any:
    """Reasoning that is an object, such as ``{"content": …}``, as a block of a message."""
    return {"type": "reasoning", **said} if isinstance(said, dict) else said
