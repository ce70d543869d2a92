"""Decodes a config in a URL, as LangServe's playground writes it: JSON, compressed by lz-string.

The format is that of ``compressToEncodedURIComponent`` (github.com/pieroxy/lz-string): LZ78 codes of a
growing width, least significant bit first, six bits to a character.
"""

from typing import Any

from chains.runtime.errors import InvalidConfigHash
from chains.runtime.wire.strict_json import InvalidJSON, strict_json_object

ALPHABET = {
    char: value
    for value, char in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-$")
}
BITS_PER_CHAR = 6
# Control codes; the other codes refer to entries of the dictionary.
CHAR_8_BITS, CHAR_16_BITS, END = 0, 1, 2
MAX_CHARS = 64 * 1024


def decode_config_hash(text: str) -> dict[str, Any]:
    """The config; raises InvalidConfigHash where ``text`` is invalid or unpacks to over 64 Ki characters."""
    try:
        # lz-string's characters are UTF-16 code units, as in JavaScript; an emoji consists of two.
        unpacked = _unpacked(text).encode("utf-16", "surrogatepass").decode("utf-16")
        return strict_json_object(unpacked.encode())
    except (InvalidJSON, UnicodeDecodeError):
        raise InvalidConfigHash() from None


class _Bits:
    """Reads the bits of the characters in order."""

    def __init__(self, text: str):
        try:
            self._values = [ALPHABET[char] for char in text]
        except KeyError:
            raise InvalidConfigHash() from None
        self._position = 0

    def read(self, count: int) -> int:
        """Read a number of ``count`` bits, the least significant bit first."""
        number = 0
        for power in range(count):
            index, offset = divmod(self._position, BITS_PER_CHAR)
            if index >= len(self._values):
                raise InvalidConfigHash()
            number |= ((self._values[index] >> (BITS_PER_CHAR - 1 - offset)) & 1) << power
            self._position += 1
        return number


def _unpacked(text: str) -> str:
    bits = _Bits(text)
    # The codes below 3 are control codes, so their entries of the dictionary are not used.
    known: list[str] = ["", "", ""]
    width, free = 2, 1
    pieces: list[str] = []
    length, last = 0, ""
    while (code := bits.read(width)) != END:
        if code in (CHAR_8_BITS, CHAR_16_BITS):
            known.append(chr(bits.read(8 if code == CHAR_8_BITS else 16)))
            code = len(known) - 1
            free -= 1
            if free == 0:
                free, width = 2**width, width + 1
        if code < len(known):
            piece = known[code]
        elif code == len(known) and last:
            piece = last + last[0]
        else:
            raise InvalidConfigHash()
        pieces.append(piece)
        length += len(piece)
        if length > MAX_CHARS:
            raise InvalidConfigHash()
        if last:
            known.append(last + piece[0])
            free -= 1
            if free == 0:
                free, width = 2**width, width + 1
        last = piece
    return "".join(pieces)
