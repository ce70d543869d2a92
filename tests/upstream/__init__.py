"""A scripted model provider on loopback: OpenAI's chat completions over real HTTP, faults included.

It answers under the paths of OpenAI and of Azure; `anthropic` has the answers to Anthropic's Messages.

The wire format is the one of the OpenAI API reference: "Create chat completion", its streamed
`chat.completion.chunk` events and its error object. Only what clients of ChainHub's chains
see is spoken: text answers, usage, errors, the list of models; no tool calls.

    with Upstream() as upstream:
        upstream.script(rate_limited(retry_after="1"), answers(text="Second try"))
        model = ChatOpenAI(base_url=upstream.base_url, api_key="sk-test", max_retries=0)
"""

from tests.upstream import anthropic
from tests.upstream.behaviours import (
    HELLO,
    Behaviour,
    answers,
    body,
    cut,
    depends,
    error_event,
    fails,
    garbage,
    held,
    html,
    rate_limited,
    raw,
    redirects,
    silent,
    slow,
)
from tests.upstream.server import Upstream

__all__ = [
    "HELLO",
    "Behaviour",
    "Upstream",
    "answers",
    "anthropic",
    "body",
    "cut",
    "depends",
    "error_event",
    "fails",
    "garbage",
    "held",
    "html",
    "rate_limited",
    "raw",
    "redirects",
    "silent",
    "slow",
]
