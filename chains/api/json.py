"""Request bodies: strict JSON of limited size, plain or packed with gzip."""

import zlib
from typing import IO, Any

from django.conf import settings
from django.http import HttpRequest
from rest_framework.exceptions import APIException
from rest_framework.parsers import BaseParser

from chains.runtime.wire.strict_json import InvalidJSON, strict_json_object

# The names that RFC 9110 gives to a body that is sent as it is, and to one that is packed with gzip.
PLAIN, GZIP = {"", "identity"}, {"gzip", "x-gzip"}
# With this number zlib reads the header and the checksum of gzip.
GZIP_WINDOW = 16 + zlib.MAX_WBITS


class InvalidBody(APIException):
    """InvalidJSON as an exception of DRF."""

    default_code = "invalid_json"

    def __init__(self, error: InvalidJSON):
        super().__init__(str(error))
        self.status_code = error.status


class BodyTooLarge(APIException):
    status_code = 413
    default_code = "body_too_large"

    def __init__(self, *, unpacked: bool = False) -> None:
        when = " when it is unpacked" if unpacked else ""
        super().__init__(f"The body is larger than {settings.MAX_BODY_BYTES} bytes{when}.")


class UnsupportedEncoding(APIException):
    status_code = 415
    default_code = "unsupported_encoding"
    default_detail = "This Content-Encoding is not supported. Send the body as it is, or packed with gzip."
    # As RFC 9110 asks of this response.
    headers = {"Accept-Encoding": "gzip"}


class StrictJSONParser(BaseParser):
    """Parses every body as a JSON object, whatever its content type: LangServe's clients send several."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None
    ) -> dict[str, Any]:
        return json_object_in(parser_context["request"]._request)


def json_object_in(request: HttpRequest) -> dict[str, Any]:
    """Return the JSON object in the request's body.

    Raises InvalidBody (400 or 422), BodyTooLarge (413) or UnsupportedEncoding (415).
    """
    try:
        return strict_json_object(_body(request))
    except InvalidJSON as error:
        raise InvalidBody(error) from None


def _body(request: HttpRequest) -> bytes:
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in PLAIN | GZIP:
        raise UnsupportedEncoding
    data = request.read(settings.MAX_BODY_BYTES + 1)
    if len(data) > settings.MAX_BODY_BYTES:
        raise BodyTooLarge
    return _unpacked(data) if encoding in GZIP else data


def _unpacked(packed: bytes) -> bytes:
    """Return the content of gzip data, of which no more than the limit is ever unpacked."""
    unpacker = zlib.decompressobj(GZIP_WINDOW)
    try:
        data = unpacker.decompress(packed, settings.MAX_BODY_BYTES + 1)
    except zlib.error:
        raise InvalidJSON("The body is not gzip data, as its Content-Encoding says.", 400) from None
    if len(data) > settings.MAX_BODY_BYTES:
        raise BodyTooLarge(unpacked=True)
    if not unpacker.eof:
        raise InvalidJSON("The body is gzip data that is cut off.", 400)
    if unpacker.unused_data:
        raise InvalidJSON("The body has further data after its gzip data.", 400)
    return data
