"""The surface for providers that others write, and how they are found."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import enricher.plugin
from enricher.errors import CannotGoOn
from enricher.installed import providers
from enricher.providers import registry
from tests.acceptance.test_plugins import install

VENDOR = """\
from enricher.plugin import OwnKeys, Vendor
VENDOR = Vendor({name!r}, {target!r}, frozenset(), "", "X_URL", "X_KEY", lambda *given: given)
"""


def vendor(name: str, target: str = "workflow") -> str:
    return VENDOR.format(name=name, target=target)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def trouble_with(name: str) -> str:
    (found,) = {shown.trouble for shown in providers() if shown.name == name and shown.trouble}
    with pytest.raises(CannotGoOn) as caught:
        registry.find(name)
    assert found in caught.value.message
    assert caught.value.code == "provider_broken"
    return found


def test_the_worked_example_uses_nothing_but_the_public_surface() -> None:
    module = importlib.import_module("enricher.providers.http")
    used = [
        (node.module or "", alias.name)
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    used = [
        (origin, name)
        for origin, name in used
        if origin.startswith("enricher.") and not origin.startswith("enricher.providers.http_")
    ]
    assert len(used) > 20
    for origin, name in used:
        assert name in enricher.plugin.__all__, name
        assert getattr(enricher.plugin, name) is getattr(importlib.import_module(origin), name)


def test_everything_public_is_there_and_nothing_else() -> None:
    names = {name for name in vars(enricher.plugin) if not name.startswith("_")}
    assert names == set(enricher.plugin.__all__)


def test_a_plugin_is_found_by_its_name(site: Path) -> None:
    install(site, "one", {"plug-one": "plug_one:VENDOR"}, plug_one=vendor("plug-one"))
    assert registry.find("plug-one").target_option == "workflow"
    assert [shown.origin for shown in providers() if shown.name == "plug-one"] == ["one 1.0"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("plug-a", "x = 1", "AttributeError: module 'plug_bad0' has no attribute 'VENDOR'"),
        ("plug-b", "VENDOR = 'x'", "names a str, and no enricher.plugin.Vendor"),
        ("plug-c", vendor("other"), "it calls itself 'other'"),
        ("plug-d", vendor("plug-d", "campaign"), "target_option 'campaign' is no option"),
        ("plug-e", vendor("plug-e", ""), "neither a target_option nor keys of its own"),
        ("plug-f", "VENDOR = 1 / 0", "ZeroDivisionError: division by zero"),
        ("plug-g", "def (", "SyntaxError"),
        ("plug-h", "raise SystemExit(3)", "SystemExit: 3"),
        ("plug-i", "raise KeyError('\\x1b[31m\\n')", "KeyError: '\\x1b[31m\\n'"),
    ],
)
def test_what_is_no_provider_is_named(
    site: Path, name: str, text: str, words: str, request: pytest.FixtureRequest
) -> None:
    module = f"plug_bad{ord(name[-1]) - ord('a')}"
    install(site, f"dist-{name}", {name: f"{module}:VENDOR"}, **{module: text})
    assert words in trouble_with(name)
    assert registry.find("bitscale").name == "bitscale"


def test_no_plugin_takes_the_name_of_another(site: Path) -> None:
    install(site, "imposter", {"bitscale": "imposter:VENDOR"}, imposter=vendor("bitscale"))
    assert registry.find("bitscale").base_url.startswith("https://api.bitscale.ai/")
    assert [s.trouble for s in providers() if s.origin == "imposter 1.0"] == [
        "the name is one of enricher's own providers"
    ]
    for twin in ("twin-a", "twin-b"):
        install(site, twin, {"twin": "twin:VENDOR"}, twin=vendor("twin"))
    assert trouble_with("twin") == "another plugin has the same name"
