"""Import this before nbformat, and nbformat is there in a tenth of the time.

nbformat imports jsonschema, which, where the package rfc3987-syntax is installed (jupyter brings it), builds a grammar
of all addresses in every language at import: more than a second in every process. Only the JSON schema formats `iri`
and `iri-reference` need it, and no notebook schema names them; jsonschema works without it and is told it is not there.
"""

import sys

_GRAMMAR = "rfc3987_syntax"
if _GRAMMAR not in sys.modules:
    sys.modules[_GRAMMAR] = None  # type: ignore[assignment]  # the documented way to make an import fail
