"""Public names that are imported when they are first used (PEP 562), so that importing a folder costs nothing."""

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def lazy_names(package: str, file: str, *more: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """A package's `__getattr__`, `__dir__` and `__all__`, from the imports that its `__init__` shows to type checkers.

    Those imports are the one list of its public names: `if TYPE_CHECKING: from linnet.optim.padam.padam import Padam as
    Padam` gives `Padam`, and imports that module when the name is first used.

    Args:
        package: Its `__name__`.
        file: Its `__file__`.
        more: Public names that are defined in the file itself.

    Raises:
        AttributeError: from `__getattr__`, for a name that isn't public; the message lists those that are.

    Example:
        >>> import linnet.optim
        >>> getattr_, dir_, all_ = lazy_names("linnet.optim", linnet.optim.__file__)
        >>> getattr_("Padam").__name__, "Padam" in dir_()
        ('Padam', True)
    """
    home_of = {
        name.name: statement.module
        for block in ast.parse(Path(file).read_text(encoding="utf-8")).body
        if isinstance(block, ast.If)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for name in statement.names
    }
    names = sorted((*home_of, *more))

    def getattr_(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module `{package}` has no attribute `{name}`. Its names: {', '.join(names)}.")
        home = home_of[name]
        value = import_module(f"{home}.{name}") if home == package else getattr(import_module(str(home)), name)
        setattr(import_module(package), name, value)
        return value

    return getattr_, lambda: list(names), names
