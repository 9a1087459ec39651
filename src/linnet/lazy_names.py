"""Public names that are imported when they are first used (PEP 562), so that importing a folder costs nothing."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, names: Sequence[str], homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A package's `__getattr__` and `__dir__`.

    Args:
        package: Its `__name__`.
        names: Its `__all__`.
        homes: Public names separated by spaces, by the module inside the package that defines them. A name that stands
            in none is a module of the package itself.

    Raises:
        AttributeError: from `__getattr__`, for a name that isn't public; the message lists those that are.

    Example:
        >>> getattr_, dir_ = lazy_names("linnet.optim", ["Padam"], {"padam.padam": "Padam"})
        >>> getattr_("Padam").__name__, dir_()
        ('Padam', ['Padam'])
    """
    home_of = {name: module for module, defined in homes.items() for name in defined.split()}

    def getattr_(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module `{package}` has no attribute `{name}`. Its names: {', '.join(names)}.")
        if name in home_of:
            value = getattr(import_module(f"{package}.{home_of[name]}"), name)
        else:
            value = import_module(f"{package}.{name}")
        setattr(import_module(package), name, value)
        return value

    return getattr_, lambda: sorted(names)
