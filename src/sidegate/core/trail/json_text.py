"""Values as JSON text, ready to be put into a line."""

from typing import Final, NewType

import orjson

JsonText = NewType("JsonText", bytes)
"""One whole JSON value: ``null``, ``"a\\"b"``, ``["x"]``. A plain ``bytes`` put into a line could break out of it."""

NULL: Final = JsonText(b"null")


def json_text(text: str | None) -> JsonText:
    """Write *text* as a JSON string, or ``null``. Never fails: a request must not get past its record by its spelling.

    A lone surrogate, which UTF-8 cannot hold, is written as the six characters of its escape.
    """
    try:
        return JsonText(orjson.dumps(text))
    except orjson.JSONEncodeError:
        return JsonText(orjson.dumps(str(text).encode("utf-8", "backslashreplace").decode()))


def json_array(texts: tuple[str, ...]) -> JsonText:
    """Write *texts* as a JSON array of strings. Never fails, as :func:`json_text`."""
    if not texts:
        return JsonText(b"[]")
    return JsonText(b"[%b]" % b",".join(map(json_text, texts)))
