"""DRF's parser of request bodies: strict JSON of limited size."""

from typing import IO, Any

from django.conf import settings
from rest_framework.exceptions import APIException
from rest_framework.parsers import BaseParser

from chains.runtime.wire.strict_json import InvalidJSON, strict_json_object


class InvalidBody(APIException):
    """InvalidJSON as an exception of DRF."""

    default_code = "invalid_json"

    def __init__(self, error: InvalidJSON):
        super().__init__(str(error))
        self.status_code = error.status


class BodyTooLarge(APIException):
    status_code = 413
    default_code = "body_too_large"
    default_detail = f"The body is larger than {settings.MAX_BODY_BYTES} bytes."


class StrictJSONParser(BaseParser):
    """Parses every body as a JSON object, whatever its content type: LangServe's clients send several."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None
    ) -> dict[str, Any]:
        data = stream.read(settings.MAX_BODY_BYTES + 1)
        if len(data) > settings.MAX_BODY_BYTES:
            raise BodyTooLarge
        try:
            return strict_json_object(data)
        except InvalidJSON as error:
            raise InvalidBody(error) from None
