"""One name, colour and marker for each method, whatever stands beside it."""

from benchmarks.methods.names import BUILT_IN
from benchmarks.report.appearance import COLOURS, LOOKS, MARKERS, display_name, looks_of


def test_every_method_of_this_package_has_a_look_of_its_own():
    missing = set(BUILT_IN) - set(LOOKS)
    assert not missing, f"benchmarks/report/appearance.py: give a look to {sorted(missing)}"
    pairs = [(look.colour, look.marker) for look in LOOKS.values()]
    assert len(set(pairs)) == len(pairs)
    assert len({look.name for look in LOOKS.values()}) == len(LOOKS)
    assert {colour for colour, _ in pairs} <= set(COLOURS)
    assert {marker for _, marker in pairs} <= set(MARKERS)


def test_a_look_does_not_depend_on_the_other_methods():
    assert looks_of(["gas"])["gas"] == looks_of(["bc-all", "zzz", "gas"])["gas"]
    assert list(looks_of(["gas", "bc-all"])) == ["gas", "bc-all"]


def test_others_take_what_is_left_by_name():
    names = [f"plugin{i:02}" for i in range(len(COLOURS) * len(MARKERS) - len(LOOKS))]
    looks = looks_of([*reversed(names), "gas"])
    pairs = [(look.colour, look.marker) for look in looks.values()]
    assert len(set(pairs)) == len(pairs) == len(names) + 1
    assert [look.name for look in looks.values()] == [*reversed(names), "GAS"]
    assert {name: looks[name] for name in names} == looks_of(names)


def test_names_in_text():
    for method, shown in (
        ("gas", "GAS"),
        ("gas@alpha=0.9,mask=false", "GAS (alpha=0.9, mask=false)"),
        ("my\nown", "my own"),
        ("path/to@file=x.py:Own", "path/to@file=x.py:Own"),
    ):
        assert display_name(method) == shown
