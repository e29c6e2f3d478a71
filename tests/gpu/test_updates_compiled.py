"""Compiled updates on a GPU are those of Python; the file comes last, as compiling takes long."""

from __future__ import annotations

import pytest
import torch

from benchmarks.methods.stacking import Stack
from tests.support.device_cases import DATA, build, counting_compiler, difference, learned


@pytest.mark.parametrize(
    ("name", "seeds"),
    [("gas", (0, 1)), ("fisor", (0,)), ("gas-levels", (0,)), ("gas-released", (0, 1))],
)
def test_compiled_updates_are_those_of_python(
    name: str, seeds: tuple[int, ...], device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU graphs without code made for them, which takes half a minute."""
    updates = 4 if device == "cpu" else 20
    asked, compiler = counting_compiler("aot_eager" if device == "cpu" else "inductor")
    few = {"blocks": 1} if name.startswith("gas") else {}
    compiled, plain = ([build(name, seed, device, **few) for seed in seeds] for _ in range(2))
    with monkeypatch.context() as patch:
        patch.setattr(torch, "compile", compiler)
        trained = Stack(compiled) if len(seeds) > 1 else compiled[0]
        trained.compile()
        list(trained.fit(DATA, updates))
    assert len(asked) == len(type(compiled[0]).compilable)
    for one, other in zip(compiled, plain, strict=True):
        list(other.fit(DATA, updates))
        assert difference(learned(one), learned(other)) < 1e-4
