"""Unpacks the bodies of answers. What a body is decides, because some gateways label it wrong."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# With these numbers zlib reads the headers and checksums of gzip and of its own format.
GZIP_WINDOW, ZLIB_WINDOW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS
GZIP_BEGINS = b"\x1f"
ZLIB_BEGINS = (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")
# Of JSON, of events, and of a web page.
PLAIN_BEGINS = (b"{", b"[", b"<", b":", b"data", b"event", b"id", b"retry", b"\xef\xbb\xbf")
# How much is unpacked at a time.
PART_BYTES = 256 * 1024


@dataclass(slots=True)
class Unpacker:
    """Unpacks one body, packed or not, from bytes as they come; ``label`` is its Content-Encoding."""

    label: str = ""
    _unpack: Any = None
    _has_begun: bool = False

    @property
    def is_packed(self) -> bool:
        return self._unpack is not None

    def add(self, data: bytes) -> Iterator[bytes]:
        """The content of these bytes, in parts of limited size. Data that is broken has no content."""
        if not self._has_begun and data:
            self._has_begun = True
            if data.startswith(GZIP_BEGINS):
                self._unpack = zlib.decompressobj(GZIP_WINDOW)
            elif data.startswith(ZLIB_BEGINS):
                self._unpack = zlib.decompressobj(ZLIB_WINDOW)
            elif self.label.strip().lower() == "deflate" and not data.lstrip().startswith(PLAIN_BEGINS):
                # Some servers leave the head of the format out.
                self._unpack = zlib.decompressobj(-zlib.MAX_WBITS)
        if self._unpack is None:
            yield data
            return
        while data:
            try:
                part = self._unpack.decompress(data, PART_BYTES)
            except zlib.error:
                return
            if not part:
                return
            yield part
            data = self._unpack.unconsumed_tail
            if self._unpack.eof:
                data = self._unpack.unused_data
                if not data.startswith(GZIP_BEGINS):
                    return
                # A gateway has packed several parts one by one.
                self._unpack = zlib.decompressobj(GZIP_WINDOW)
