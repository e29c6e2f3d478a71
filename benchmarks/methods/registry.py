"""Finds methods by name, plugins included, and configures them."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from benchmarks.common.errors import UserError, describe, unknown_name
from benchmarks.common.files import user_path
from benchmarks.common.ranges import check_ranges
from benchmarks.methods.algorithm import Algorithm, Config, outdated
from benchmarks.methods.names import BUILT_IN, known_names, plugins
from benchmarks.methods.variants import MARK, label, split


class Method(NamedTuple):
    """A method or variant that `find_method` found."""

    cls: type[Algorithm]
    spec: str
    """Argument of `find_method` that finds the method in another process."""
    code: str
    """sha256 of a plugin file; empty for installed code."""
    options: Mapping[str, Any] = {}
    """Options of a variant, which tables list under its `label`."""

    @property
    def label(self) -> str:
        """The method's name with the options of a variant, e.g. "gas@alpha=0.9,mask=false"."""
        return label(self.cls.name, self.options)


def find_method(spec: str) -> Method:
    """Find a method by name or as `path/to/file.py:ClassName`.

    Built-in names win over plugins. Options may follow, "gas@alpha=0.9,mask=false": a variant.
    Raises `UserError` if the method is unknown or does not fulfil the contract.
    """
    plain, words = split(spec)
    if words:
        method = find_method(plain)
        if method.options:
            raise UserError(f"algorithm {spec!r}: put all options after a single {MARK}")
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
            except (Exception, SystemExit) as error:
                raise UserError(
                    f"plugin {spec!r} ({point.value}) fails to load: {describe(error)}"
                ) from None
            return Method(_checked(cls, spec), spec, "")
    if spec.endswith(".py"):
        raise UserError(f"algorithm {spec!r}: name the class as well, {spec}:ClassName")
    raise unknown_name("algorithm", spec, known_names())


def _from_file(spec: str) -> Method:
    file, _, name = spec.rpartition(":")
    path = user_path(file).resolve()
    if not path.is_file():
        raise UserError(f"algorithm {spec!r}: file {file} does not exist")
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"algorithm {spec!r}: {file} cannot be read ({error.strerror})") from None
    module_name = f"osrl_bench_plugin_{digest[:16]}"
    if module_name not in sys.modules:
        module_spec = importlib.util.spec_from_file_location(module_name, path)
        assert module_spec is not None
        assert module_spec.loader is not None
        module = importlib.util.module_from_spec(module_spec)
        sys.modules[module_name] = module  # dataclasses look up their module by name
        try:
            module_spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
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
    if message := outdated(cls):
        raise UserError(f"algorithm {spec!r}: {message}")
    if inspect.isabstract(cls):
        missing = ", ".join(sorted(cls.__abstractmethods__))
        raise UserError(f"algorithm {spec!r} does not implement {missing}")
    for attribute in ("name", "trains_per_limit", "heeds_limit"):
        if not hasattr(cls, attribute):
            raise UserError(f"algorithm {spec!r} does not state its {attribute!r}")
    return cls


def parse_options(cls: type[Algorithm], options: dict[str, str]) -> dict[str, Any]:
    """Parse option values such as `{"alpha": "0.9"}` into the types that the config declares."""
    hints = get_type_hints(cls.config_class)
    names = [field.name for field in fields(cls.config_class)]
    values = {}
    for name, text in options.items():
        if name not in names:
            raise unknown_name(f"option of {cls.name}", name, names)
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
    expected = [cast for type_, cast in casts.items() if type_ in kinds]
    if not expected:
        raise UserError(f"option {name} ({kind}) cannot be set on the command line")
    for _, cast in expected:
        try:
            return cast(text)
        except (KeyError, ValueError):
            continue
    allowed = [words for words, _ in expected] + ["none"] * (NoneType in kinds)
    raise UserError(f"option {name} is {' or '.join(allowed)}, not {text!r}")


def configure(
    cls: type[Algorithm],
    budget: str,
    options: Mapping[str, Any],
    of_task: Mapping[str, Any] | None = None,
) -> tuple[Config, int]:
    """Config and number of updates of a method at a named budget.

    `options` override the budget's options, which override `of_task` (`Algorithm.options_on`).
    """
    if budget not in cls.budgets:
        raise unknown_name(f"budget of {cls.name}", budget, cls.budgets)
    values = {**(of_task or {}), **cls.budgets[budget].options, **options}
    try:
        config = cls.config_class(**values)
        check_ranges(config, lambda name: f"option {cls.name}.{name}")
    except (TypeError, ValueError, ArithmeticError) as error:
        raise UserError(f"options of {cls.name}: {describe(error)}") from None
    return config, cls.budgets[budget].updates
