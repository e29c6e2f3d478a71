"""Names of methods and the classes behind them, plugins included."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from benchmarks.common.errors import UserError, describe, unknown_name
from benchmarks.methods.algorithm import Algorithm, Config
from benchmarks.methods.names import BUILT_IN, known_names, plugins
from benchmarks.methods.variants import MARK, label, split


class Method(NamedTuple):
    """A method as it is found: its class, the words that find it, and its code's identity."""

    cls: type[Algorithm]
    spec: str
    """What to give `find_method` to get it again, in another process."""
    code: str
    """sha256 of a plugin file, empty for installed code."""
    options: Mapping[str, Any] = {}
    """Those that make it a variant, which stands in tables under its `label`."""

    @property
    def label(self) -> str:
        """The method's name, and the options of a variant: "gas@alpha=0.9,mask=false"."""
        return label(self.cls.name, self.options)


def find_method(spec: str) -> Method:
    """The method called `spec`, or the class that `path/to/file.py:ClassName` names.

    Built-in names win over plugins. Behind either may stand options, "gas@alpha=0.9,mask=false":
    a variant. `UserError` for what is unknown or does not fulfil the contract.
    """
    plain, words = split(spec)
    if words:
        method = find_method(plain)
        if method.options:
            raise UserError(f"algorithm {spec!r}: give all options behind one {MARK}")
        return method._replace(options=parse_options(method.cls, words))
    if ".py:" in spec:
        return _from_file(spec)
    if spec in BUILT_IN:
        module, _, name = BUILT_IN[spec].partition(":")
        return Method(_checked(getattr(importlib.import_module(module), name), spec), spec, "")
    for point in plugins():
        if point.name == spec:
            try:
                cls = point.load()
            except Exception as error:
                raise UserError(
                    f"plugin {spec!r} ({point.value}) fails to load: {describe(error)}"
                ) from None
            return Method(_checked(cls, spec), spec, "")
    if spec.endswith(".py"):
        raise UserError(f"algorithm {spec!r}: name the class in the file too, {spec}:ClassName")
    raise unknown_name("algorithm", spec, known_names())


def _from_file(spec: str) -> Method:
    file, _, name = spec.rpartition(":")
    path = Path(file).resolve()
    if not path.is_file():
        raise UserError(f"algorithm {spec!r}: there is no file {file}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    module_name = f"osrl_bench_plugin_{digest[:16]}"
    if module_name not in sys.modules:
        found = importlib.util.spec_from_file_location(module_name, path)
        assert found is not None
        assert found.loader is not None
        module = importlib.util.module_from_spec(found)
        sys.modules[module_name] = module  # dataclasses look their module up by name
        try:
            found.loader.exec_module(module)
        except Exception as error:
            del sys.modules[module_name]
            raise UserError(f"{file} fails to load: {describe(error)}") from None
    cls = getattr(sys.modules[module_name], name, None)
    if cls is None:
        raise UserError(f"{file} has no class {name!r}")
    return Method(_checked(cls, spec), f"{path}:{name}", digest)


def _checked(cls: Any, spec: str) -> type[Algorithm]:
    if not (inspect.isclass(cls) and issubclass(cls, Algorithm)):
        raise UserError(
            f"algorithm {spec!r} is not a subclass of benchmarks.methods.algorithm.Algorithm"
        )
    if inspect.isabstract(cls):
        lacking = ", ".join(sorted(cls.__abstractmethods__))
        raise UserError(f"algorithm {spec!r} does not implement {lacking}")
    for attribute in ("name", "conditions_on_limit"):
        if not hasattr(cls, attribute):
            raise UserError(f"algorithm {spec!r} does not state its {attribute!r}")
    return cls


def parse_options(cls: type[Algorithm], options: dict[str, str]) -> dict[str, Any]:
    """Option values as the method's config declares them, from words like `{"alpha": "0.9"}`."""
    hints = get_type_hints(cls.config_class)
    known = [field.name for field in fields(cls.config_class)]
    values = {}
    for name, text in options.items():
        if name not in known:
            raise unknown_name(f"option of {cls.name}", name, known)
        values[name] = _parse(text, hints[name], f"{cls.name}.{name}")
    return values


def _parse(text: str, kind: Any, name: str) -> Any:
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    if NoneType in kinds and text.lower() == "none":
        return None
    casts: dict[Any, tuple[str, Callable[[str], Any]]] = {
        bool: ("true or false", lambda text: {"true": True, "false": False}[text.lower()]),
        int: ("a whole number", int),
        float: ("a number", float),
        str: ("a word", str),
    }
    expected = [casts[one] for one in casts if one in kinds]
    if not expected:
        raise UserError(f"option {name} ({kind}) cannot be set on the command line")
    for _, cast in expected:
        try:
            return cast(text)
        except (KeyError, ValueError):
            continue
    wanted = [words for words, _ in expected] + ["none"] * (NoneType in kinds)
    raise UserError(f"option {name} is {' or '.join(wanted)}, not {text!r}")


def configure(
    cls: type[Algorithm],
    budget: str,
    options: Mapping[str, Any],
    of_task: Mapping[str, Any] | None = None,
) -> tuple[Config, int]:
    """Config and number of updates of a method at a named budget.

    `options` overrule the budget's, and those overrule what the method has for the task.
    """
    if budget not in cls.budgets:
        raise unknown_name(f"budget of {cls.name}", budget, cls.budgets)
    chosen = cls.budgets[budget]
    return cls.config_class(**{**(of_task or {}), **chosen.options, **options}), chosen.updates
