"""How old something may be: ``15m``, ``60s``, or whole milliseconds."""

import re
from typing import Annotated, Any, Final

from pydantic import PlainValidator, WithJsonSchema

from sidegate.config.forms import refuse
from sidegate.core.model.units import Millis

_WRITTEN: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_MILLIS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
MAX_AGE: Final = Millis(30 * 86_400_000)
_HINT: Final = "write it like 15m, 60s or 900000, and at most 30d"


def _age(written: Any) -> Millis:  # noqa: ANN401  whatever stands in the file
    found = _WRITTEN.fullmatch(written) if isinstance(written, str) else None
    if found is not None:
        age = int(found[1]) * _MILLIS[found[2]]
    elif type(written) is int:
        age = written
    else:
        raise refuse(f"is '{written}'", _HINT)
    if not 0 < age <= MAX_AGE:
        raise refuse(f"is '{written}'", _HINT)
    return Millis(age)


Age = Annotated[
    Millis,
    PlainValidator(_age),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MAX_AGE},
                {"type": "string", "pattern": "^[0-9]{1,9}(?:ms|s|m|h|d)$", "examples": ["15m", "60s"]},
            ]
        }
    ),
]
