"""Import this before nbformat or holidays, and each is there in a fraction of the time.

nbformat imports jsonschema, which, where the package rfc3987-syntax is installed (jupyter brings it), builds a grammar
of all addresses in every language at import: more than a second in every process. Only the JSON schema formats `iri`
and `iri-reference` need it, and no notebook schema names them; jsonschema works without it and is told it is not there.

holidays has a module for each country and each market, and the first that is asked for brings all 300, because their
packages import each of them. Here a package does so only once somebody asks for what no single module gives.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_GRAMMAR = "rfc3987_syntax"
if _GRAMMAR not in sys.modules:
    sys.modules[_GRAMMAR] = None  # type: ignore[assignment]  # the documented way to make an import fail

_CROWDED = {"holidays.countries", "holidays.financial"}


class _Waiting(ModuleType):
    """A package that has not run: its modules can be imported, and the first other name asked of it runs it."""

    def __getattr__(self, name: str) -> Any:
        """Run the package, and give what it has under this name."""
        self.__class__ = ModuleType  # type: ignore[assignment]
        if self.__spec__ is not None and isinstance(self.__spec__.loader, _Later):
            self.__spec__.loader.whole.exec_module(self)
        return getattr(self, name)


class _Later(Loader):
    """Makes a package without running it."""

    def __init__(self, whole: Loader) -> None:
        self.whole = whole

    def exec_module(self, module: ModuleType) -> None:
        """Leave it waiting."""
        module.__class__ = _Waiting


class _Crowded:
    """Finds those packages alone."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The package as everybody finds it, to be run later."""
        spec = PathFinder.find_spec(name, path, target) if name in _CROWDED else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Later(spec.loader)
        return spec


sys.meta_path.insert(0, _Crowded)
