"""What we lean on in daphne, Twisted, autobahn, Django, langchain-openai and langchain-anthropic, each by
name: a new version that moves one of them fails here first, before a limit silently stops to hold.
"""

import ast
import inspect
import textwrap
from importlib.metadata import version

import pytest
from aiohttp import StreamReader
from autobahn.twisted.websocket import WebSocketAdapterProtocol
from autobahn.websocket import protocol as autobahn
from daphne import server as daphne_server
from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import response_for_exception
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.utils.utils import LC_ID_PREFIX
from langchain_openai import ChatOpenAI
from twisted.internet import abstract, tcp
from twisted.internet.interfaces import IConsumer, IHalfCloseableDescriptor, IPushProducer
from twisted.protocols.policies import TimeoutMixin
from twisted.web import http

from chainhub.server.http import Channel, Factory, Request
from chainhub.server.websocket import Socket, SocketFactory
from chains.runtime.providers import anthropic as claude
from chains.runtime.providers import openai_models


def calls(function) -> set[str]:
    """The names of what a function calls, attributes by their last part."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    functions = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {getattr(each, "attr", None) or getattr(each, "id", "") for each in functions}


def attributes(function) -> set[str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def parameters(function) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_it_is_the_daphne_it_was_written_for():
    assert version("daphne").startswith("4.2.")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Channel, http.HTTPChannel),
        (Request, WebRequest),
        (Factory, HTTPFactory),
        (Socket, WebSocketProtocol),
        (SocketFactory, WebSocketFactory),
    ],
)
def test_whatever_is_overridden_is_still_there_to_be_overridden(ours, theirs):
    methods = {name: value for name, value in vars(ours).items() if inspect.isfunction(value)}
    names = {name for name, method in methods.items() if "super()." in inspect.getsource(method)}
    names |= {"resetTimeout", "log", "protocol"} & set(vars(ours))
    names -= {"log"} if ours is Request else set()

    assert names
    assert not {name for name in names if not hasattr(theirs, name)}


@pytest.mark.parametrize(
    ("caller", "called"),
    [
        # The limits of time: one for each phase, made absolute.
        (http.HTTPChannel.connectionMade, "setTimeout"),
        (http.HTTPChannel.dataReceived, "resetTimeout"),
        (http.HTTPChannel.allContentReceived, "setTimeout"),
        (http.HTTPChannel.requestDone, "setTimeout"),
        (http.HTTPChannel.lineReceived, "allHeadersReceived"),
        (http.HTTPChannel.lineReceived, "headerReceived"),
        (http.HTTPChannel._failChooseTransferDecoder, "_respondToBadRequestAndDisconnect"),
        (autobahn.WebSocketProtocol._max_message_size_exceeded, "_fail_connection"),
        (WebSocketAdapterProtocol._onMessageFrameBegin, "onMessageFrameBegin"),
        (WebSocketAdapterProtocol._onMessageEnd, "onMessageEnd"),
        (http.HTTPChannel.lineReceived, "allContentReceived"),
        (TimeoutMixin.setTimeout, "callLater"),
        # The limit of bodies.
        (http.HTTPChannel.lineReceived, "requestFactory"),
        (http.HTTPChannel.allHeadersReceived, "gotLength"),
        (http.HTTPChannel._finishRequestBody, "allContentReceived"),
        # Backpressure.
        (http.HTTPChannel.connectionMade, "registerProducer"),
        (http.HTTPChannel.loseConnection, "unregisterProducer"),
        (abstract.FileDescriptor._maybePauseProducer, "pauseProducing"),
        (abstract.FileDescriptor.doWrite, "resumeProducing"),
        (abstract.FileDescriptor.connectionLost, "stopProducing"),
        # The applications' life.
        (daphne_server.Server.handle_reply, "handle_reply"),
        (daphne_server.Server.application_checker, "cancel"),
        (WebRequest.connectionLost, "send_disconnect"),
        (WebRequest.handle_reply, "setResponseCode"),
        (WebRequest.process, "makeConnection"),
        (WebSocketProtocol.handle_exception, "sendCloseFrame"),
        (WebRequest.handle_exception, "basic_error"),
        # Every exception that no view answers is told by a signal, while it is handled.
        (response_for_exception, "handle_uncaught_exception"),
    ],
)
def test_the_callers_still_call(caller, called):
    assert called in calls(caller)


@pytest.mark.parametrize(
    ("function", "used"),
    [
        (http.HTTPChannel.allHeadersReceived, "length"),
        (http.HTTPChannel._maybeChooseTransferDecoder, "handleContentChunk"),
        (http.HTTPChannel.lineReceived, "_receivedHeaderSize"),
        (http.HTTPChannel.lineReceived, "totalHeadersSize"),
        (autobahn.WebSocketProtocol.onMessageFrameBegin, "message_data_total_length"),
        (autobahn.WebSocketProtocol._fail_connection, "failedByMe"),
        (http.HTTPChannel.requestDone, "persistent"),
        (http.HTTPChannel.requestDone, "requests"),
        (http.HTTPChannel.allContentReceived, "_path"),
        (http.Request.write, "startedWriting"),
        (http.Request.write, "code_message"),
        (http.Request.handleContentChunk, "content"),
        (WebRequest.__init__, "channel"),
        (WebRequest.process, "ws_factory"),
        (WebRequest.handle_reply, "_response_started"),
        (response_for_exception, "got_request_exception"),
        (WebRequest.process, "protocol"),
        (WebSocketProtocol.onConnect, "server_class"),
        (WebSocketFactory.buildProtocol, "factory"),
        (daphne_server.Server.create_application, "connections"),
        (daphne_server.Server.run, "application_checker"),
        (daphne_server.Server.run, "timeout_checker"),
        (daphne_server.Server.run, "kill_all_applications"),
        (daphne_server.Server.run, "_asyncioEventloop"),
    ],
)
def test_the_names_are_still_theirs(function, used):
    assert used in attributes(function)


def test_what_is_run_in_place_of_daphnes_own_sets_up_the_same():
    from chainhub.server import Server

    theirs = calls(daphne_server.Server.run) - {"info", "partial", "get_event_loop", "set_debug", "str"}
    theirs -= {"HTTPFactory", "WebSocketFactory", "STDLibLogObserver", "ready_callable", "append"}
    # The listening socket is there before the server, and connections are adopted from it.
    theirs -= {"serverFromString", "listen", "addCallback", "addErrback"}

    assert theirs <= calls(Server.run)


def test_twisted_makes_its_connections_as_we_do():
    assert {"buildProtocol", "transport", "makeConnection"} <= calls(tcp.Port.doRead)
    assert tcp.Port.transport is tcp.Server
    assert parameters(tcp.Server.__init__)[1:] == [
        *("sock", "protocol", "client", "server", "sessionno", "reactor"),
    ]


def test_twisted_asks_a_request_for_its_forms_only_where_told_to():
    assert "parsePOSTFormSubmission" in parameters(http.Request.__init__)


def test_transports_are_what_the_server_uses_them_for():
    assert IPushProducer.implementedBy(tcp.Server)
    assert IConsumer.implementedBy(tcp.Server)
    assert IHalfCloseableDescriptor.implementedBy(tcp.Server)
    for name in ("abortConnection", "getHandle", "loseWriteConnection", "disconnecting", "bufferSize"):
        assert hasattr(tcp.Server, name)
    assert tcp.Server.bufferSize <= 256 * 1024


def test_daphnes_details_of_a_connection_keep_their_names():
    source = inspect.getsource(daphne_server.Server)

    for key in ("application_instance", "disconnected"):
        assert f'"{key}"' in source
    assert WebSocketProtocol.STATE_OPEN != WebSocketProtocol.STATE_CONNECTING
    assert {"code", "reasonUtf8"} <= set(parameters(WebSocketProtocol.sendCloseFrame))


def test_http2_which_has_channels_of_its_own_is_not_spoken():
    assert not http.H2_ENABLED


def test_django_answers_in_the_steps_that_the_short_way_takes_one_by_one():
    steps = ["read_body", "create_request", "run_get_response", "send_response", "_get_response_async"]

    assert all(inspect.isfunction(getattr(ASGIHandler, name)) for name in steps)
    assert parameters(ASGIHandler.create_request) == ["self", "scope", "body_file"]
    assert parameters(ASGIHandler.send_response) == ["self", "response", "send"]
    # What load_middleware leaves behind is what answers a request.
    assert "_middleware_chain" in attributes(BaseHandler.load_middleware)
    assert "_middleware_chain" in attributes(BaseHandler.get_response_async)


def test_langchains_integrations_have_what_writes_requests():
    assert all(callable(getattr(ChatAnthropic, name, None)) for name in claude.NEEDED)
    assert all(callable(getattr(ChatOpenAI, name, None)) for name in openai_models.NEEDED)


def test_aiohttp_has_what_reads_the_rest_of_a_broken_answer():
    assert parameters(StreamReader._read_nowait) == ["self", "n"]


def test_langchain_core_has_what_messages_and_models_are_made_of():
    assert LC_ID_PREFIX == "lc_run-"
    assert parameters(add_ai_message_chunks) == ["left", "others"]
    assert all(
        inspect.isfunction(getattr(BaseChatModel, name)) for name in ("_astream", "_agenerate", "_stream")
    )
