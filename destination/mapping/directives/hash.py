"""`@hash` sends the SHA-256 of a text in hexadecimal, in place of the text.

With `normalize` it is that of the text without blanks around it and in lower case, as e-mail
addresses are compared. What cannot be hashed is missing: what was asked to be hidden never
leaves as it is.
"""

import hashlib

from destination.mapping.argument_types import Field, Fields, FixedFlag, TextValue, Values
from destination.mapping.arguments import Resolve
from destination.mapping.bounds import spend
from destination.mapping.directives.base import Directive
from destination.mapping.paths import MISSING
from destination.mapping.stringify import as_text

VALUE = Field("value", TextValue())
NORMALIZE = Field("normalize", FixedFlag(), default=False)


def _build(values: Values) -> Resolve:
    """Numbers, true and false are made texts first. An empty text stays empty: its hash would be
    one and the same "customer" for everybody.
    """
    resolve, normalize = values[VALUE], values[NORMALIZE]

    def run(payload: object) -> object:
        found = resolve(payload)
        if found is None:
            return None
        if not isinstance(found, str | bool | int | float):
            return MISSING
        text = as_text(found)
        spend(len(text))
        text = text.strip().lower() if normalize else text
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest() if text else ""

    return run


HASH = Directive(
    name="@hash",
    shape='{"@hash": {"value": …, "normalize": true}}',
    order=210,
    takes=Fields(VALUE, NORMALIZE),
    build=_build,
    ours=True,
    makes="text",
)
