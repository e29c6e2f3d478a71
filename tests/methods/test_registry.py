"""Names, plugins and options: what is found, and what is said where nothing is."""

import hashlib
from dataclasses import asdict, dataclass, fields
from importlib.metadata import EntryPoint
from typing import Optional

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baselines.bc import BCAll, BCSafe
from benchmarks.common.errors import UserError
from benchmarks.methods import names
from benchmarks.methods.algorithm import Budget, Config
from benchmarks.methods.names import BUILT_IN, known_names
from benchmarks.methods.registry import configure, find_method, parse_options
from gas import GAS, GASConfig

QUICK = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
PLUGIN = """
from dataclasses import dataclass
from benchmarks.methods.algorithm import Algorithm, Config

@dataclass(frozen=True)
class MineConfig(Config):
    width: int = 8

class Nameless(Algorithm):
    trains_per_limit, heeds_limit = False, True
    config_class = MineConfig

    def build(self): pass
    def prepare(self, data): pass
    def update(self): return {}
    def policy(self, limits): pass

class Mine(Nameless):
    name = "mine"

class Outdated(Nameless):
    name = "outdated"
    conditions_on_limit = True

class Half(Algorithm):
    name = "half"
    trains_per_limit, heeds_limit = True, True

    def prepare(self, data): pass
    def update(self): return {}

answer = 42
class Unrelated: pass
"""


def complaint(spec):
    """What is said where `spec` is no method, which must be one line."""
    with pytest.raises(UserError) as raised:
        find_method(spec)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.fixture
def plugin(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    return file


@pytest.fixture
def installed(monkeypatch):
    """Installs entry points, given as name=value."""

    def install(**values):
        points = [EntryPoint(name, value, names.ENTRY_POINTS) for name, value in values.items()]
        monkeypatch.setattr(
            names, "entry_points", lambda group: points if group == names.ENTRY_POINTS else []
        )

    return install


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_names_are_those_of_their_classes(name):
    method = find_method(name)
    assert method.cls.name == name
    assert (method.spec, method.code) == (name, "")


def test_unknown_names_get_a_suggestion():
    said = complaint("coptidce")
    assert said.startswith("unknown algorithm 'coptidce': did you mean coptidice?")
    assert all(name in said for name in BUILT_IN)
    assert complaint("GAS").startswith("unknown algorithm 'GAS': did you mean gas?")
    assert "did you mean" not in complaint("zzzzzz")


# Files


def test_a_file_is_a_plugin(plugin):
    method = find_method(f"{plugin}:Mine")
    assert method.cls.name == "mine"
    assert method.spec == f"{plugin}:Mine"
    assert method.code == hashlib.sha256(PLUGIN.encode()).hexdigest()
    assert find_method(method.spec) == method
    assert configure(method.cls, "quick", {"width": 3})[0].width == 3


def test_a_relative_path_is_found_from_elsewhere_too(plugin, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    spec = find_method("mine.py:Mine").spec
    monkeypatch.chdir("/")
    assert find_method(spec).cls.name == "mine"


def test_an_edited_file_is_other_code(plugin):
    before = find_method(f"{plugin}:Mine")
    plugin.write_text(PLUGIN.replace("width: int = 8", "width: int = 9"))
    after = find_method(f"{plugin}:Mine")
    assert after.code != before.code
    assert configure(before.cls, "quick", {})[0].width == 8
    assert configure(after.cls, "quick", {})[0].width == 9


def test_what_is_wrong_with_a_file_is_told_in_one_line(plugin, tmp_path):
    assert complaint(f"{tmp_path}/no.py:Mine") == (
        f"algorithm '{tmp_path}/no.py:Mine': file {tmp_path}/no.py does not exist"
    )
    assert complaint(f"{plugin}:Yours") == f"{plugin} has no class 'Yours'"
    assert complaint(f"{plugin}:answer").endswith(
        "is not a subclass of benchmarks.methods.algorithm.Algorithm"
    )
    assert complaint(f"{plugin}:Unrelated").endswith(
        "is not a subclass of benchmarks.methods.algorithm.Algorithm"
    )
    assert complaint(f"{plugin}:Half").endswith("does not implement build, policy")
    assert complaint(f"{plugin}:Nameless").endswith("does not state its 'name'")
    outdated = complaint(f"{plugin}:Outdated")
    assert "replace conditions_on_limit by trains_per_limit" in outdated
    assert "heeds_limit" in outdated
    assert complaint(str(plugin)) == (
        f"algorithm '{plugin}': name the class as well, {plugin}:ClassName"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def f(:", "SyntaxError: "),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise RuntimeError('one\\n\\n  two')", "RuntimeError: one two"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_broken_file_is_told_in_one_line_each_time(tmp_path, text, said):
    file = tmp_path / "broken.py"
    file.write_text(text)
    for _ in range(2):  # a failed import leaves nothing behind
        assert f"{file} fails to load: {said}" in complaint(f"{file}:Mine")


# Entry points


def test_entry_points_are_plugins(installed):
    installed(clone="baselines.bc:BCAll", another="gas.algorithm:GAS")
    method = find_method("clone")
    assert (method.cls, method.spec, method.code) == (BCAll, "clone", "")
    assert known_names() == [*BUILT_IN, "another", "clone"]
    assert "did you mean clone?" in complaint("clones")


def test_built_in_names_win_a_clash(installed):
    installed(gas="baselines.bc:BCAll")
    assert find_method("gas").cls is GAS
    assert known_names() == list(BUILT_IN)


def test_broken_entry_points_are_told_in_one_line_and_harm_no_other(installed):
    installed(
        gone="nowhere.at_all:Mine",
        lacking="gas.algorithm:Nothing",
        config="gas.algorithm:GASConfig",
        base="benchmarks.methods.algorithm:Algorithm",
    )
    assert complaint("gone") == (
        "plugin 'gone' (nowhere.at_all:Mine) fails to load: "
        "ModuleNotFoundError: No module named 'nowhere'"
    )
    assert "plugin 'lacking' (gas.algorithm:Nothing) fails to load: Attrib" in complaint("lacking")
    assert "'config' is not a subclass" in complaint("config")
    assert complaint("base").endswith("does not implement build, policy, prepare, update")
    assert find_method("gas").cls is GAS


# Options


@dataclass(frozen=True)
class ManyConfig(Config):
    count: int = 1
    rate: float = 0.5
    flag: bool = False
    point: str = "here"
    limit: float | None = None
    depth: Optional[int] = None  # noqa: UP045
    either: int | float = 1
    words: str | None = None
    sizes: tuple[int, ...] = (8,)


class Many(BCSafe):
    name = "many"
    config_class = ManyConfig
    budgets = {"short": Budget.of(7, rate=0.25)}  # noqa: RUF012


@QUICK
@given(st.integers(), st.floats(allow_nan=False), st.booleans(), st.text("aé=\n "))
def test_options_are_read_as_declared(count, rate, flag, point):
    options = {"count": str(count), "rate": repr(rate), "flag": str(flag), "point": point}
    values = parse_options(Many, options)
    assert values == {"count": count, "rate": rate, "flag": flag, "point": point}
    assert [type(value) for value in values.values()] == [int, float, bool, str]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("rate", "1", 1.0),
        ("rate", "1e-3", 0.001),
        ("flag", "True", True),
        ("flag", "false", False),
        ("limit", "none", None),
        ("limit", "None", None),
        ("limit", "2", 2.0),
        ("depth", "none", None),
        ("depth", "3", 3),
        ("either", "3", 3),
        ("either", "0.5", 0.5),
        ("words", "none", None),
        ("words", "one", "one"),
        ("point", "none", "none"),
        ("batch", "64", 64),
    ],
)
def test_words_for_an_option(name, text, value):
    (parsed,) = parse_options(Many, {name: text}).values()
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("count", "2.5", "option many.count is a whole number, not '2.5'"),
        ("count", "none", "option many.count is a whole number, not 'none'"),
        ("rate", "fast", "option many.rate is a number, not 'fast'"),
        ("flag", "1", "option many.flag is true or false, not '1'"),
        ("limit", "low", "option many.limit is a number or none, not 'low'"),
        ("depth", "", "option many.depth is a whole number or none, not ''"),
        ("sizes", "3", r"option many.sizes \(tuple\[int, ...\]\) cannot be set on the command"),
        ("cout", "3", "unknown option of many 'cout': did you mean count\\?"),
    ],
)
def test_what_an_option_cannot_be(name, text, said):
    with pytest.raises(UserError, match=said) as raised:
        parse_options(Many, {name: text})
    assert "\n" not in str(raised.value)


def test_every_option_of_every_method_can_be_set():
    for name in BUILT_IN:
        cls = find_method(name).cls
        words = {key: str(value) for key, value in asdict(cls.config_class()).items()}
        assert cls.config_class(**parse_options(cls, words)) == cls.config_class()


def test_a_budget_gives_options_that_words_overrule():
    config, updates = configure(Many, "short", {})
    assert (config, updates) == (ManyConfig(rate=0.25), 7)
    config, _ = configure(Many, "short", {"rate": 0.75, "count": 2})
    assert config == ManyConfig(rate=0.75, count=2)
    config, updates = configure(GAS, "paper", {})
    assert (config, updates) == (GASConfig(), 400_000)
    assert {field.name for field in fields(config)} > {"alpha", "batch"}


def test_an_unknown_budget_gets_a_suggestion():
    with pytest.raises(UserError, match=r"^unknown budget of gas 'standart': did you mean stand"):
        configure(GAS, "standart", {})
    with pytest.raises(UserError, match=r"^unknown budget of many 'paper': known are short$"):
        configure(Many, "paper", {})
