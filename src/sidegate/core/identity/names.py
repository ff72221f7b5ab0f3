"""Names that come from a credential and end up in a header, a log line and the trail (spec 2.3)."""

import re
from typing import Final

MAX_ID_CHARS: Final = 128

# Visible ASCII without what divides or quotes values in a header field (RFC 9110 section 5.6): a subject of
# `ana,user:root` must not be two accounts to an upstream that splits lists. No blanks: `ana ` must not be `ana`.
_SAFE_ID: Final = re.compile(r"[!#$%&'()*+\-./0-9:<=>?@A-Z\[\]^_`a-z{|}~]{1,128}")
_SURFACE: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")


def is_safe_id(text: object) -> bool:
    """Whether *text* is 1 to 128 visible ASCII characters without `"`, `,`, `;` and a backslash."""
    return isinstance(text, str) and _SAFE_ID.fullmatch(text) is not None


def is_surface(text: object) -> bool:
    """Whether *text* may name a surface: lower-case letters, digits, ``_`` and ``-``, at most 32."""
    return isinstance(text, str) and _SURFACE.fullmatch(text) is not None
