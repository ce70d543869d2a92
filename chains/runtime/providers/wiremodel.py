"""Models that are called over HTTP by us: an integration of LangChain's writes the requests."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage

from chains.runtime.errors import Told
from chains.runtime.providers.collected import Collected
from chains.runtime.providers.endpoint import Endpoint
from chains.runtime.providers.failures import judged
from chains.runtime.providers.habits import Habits
from chains.runtime.providers.pieces import REST_S, Piece, as_text
from chains.runtime.providers.reach import ProviderConfig
from chains.runtime.providers.tidy import Tidy


@dataclass(frozen=True, kw_only=True)
class WireModel:
    """Sends what ``body`` writes of the messages to the endpoint, and reads the answer with ``answer``.

    ``body`` also gets whether the answer is asked for in pieces. ``answers_by_tool``: the model is forced to
    call a tool, whose arguments are the answer.
    """

    endpoint: Endpoint
    body: Callable[[list[BaseMessage], bool], Mapping[str, Any]]
    answer: Callable[[Tidy], Collected]
    habits: Habits
    splits_thinking: bool
    answers_by_tool: bool = False

    async def pieces(
        self, messages: list[BaseMessage], *, streaming: bool
    ) -> AsyncGenerator[Sequence[Piece], None]:
        """Raises ProviderRefused for what the integration refuses to send, as if the API had done so."""
        try:
            body = self.body(messages, streaming)
        except (ValueError, KeyError, TypeError) as error:
            raise judged(Told(status=400, type="invalid_request_error", message=str(error))) from error
        answer = self.endpoint.pieces(body, self.answer(Tidy(self.splits_thinking)))
        async with aclosing(answer):
            async for pieces in answer:
                yield [as_text(piece) for piece in pieces] if self.answers_by_tool else pieces


def endpoint_at(provider: ProviderConfig, url: str, headers: Mapping[str, str]) -> Endpoint:
    """An address at the provider; its record's further headers replace those given."""
    replaced = {name.lower() for name in provider.headers}
    usual = {
        "Content-Type": "application/json",
        # Packing delays the pieces of a stream.
        "Accept-Encoding": "identity",
        **headers,
    }
    return Endpoint(
        url=url,
        headers={
            **{name: value for name, value in usual.items() if name.lower() not in replaced},
            **provider.headers,
        },
        connect_s=provider.connect_s,
        proxy=provider.proxy,
        ca_bundle=provider.ca_bundle,
        # Within the limit between pieces, which would take the complete answer away.
        rest_s=min(REST_S, provider.chunk_s / 2),
        doubt_s=provider.chunk_s * 0.9,
    )
