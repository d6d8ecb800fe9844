"""The shape of the house: floors, doors, who may use which library, and sizes.

The tables say what is allowed; the rules read the imports of every module below `enricher/`,
those inside functions and under `TYPE_CHECKING` too. A new room or library is a new line in a
table, with a reason where it is an exception. `test_rules_bite` plants one offence for each rule.
"""

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "enricher"

# --- the tables ------------------------------------------------------------------------------

FLOORS: Sequence[set[str]] = (
    {
        *("errors", "model", "record", "verdicts", "cell", "column", "harmless", "formats", "zstd"),
        *("notice", "forms", "places", "extras", "objects", "databases", "budget", "shard"),
        "durable",
    },
    {
        *(
            "job",
            "mapping",
            "forecast",
            "source",
            "sink",
            "checkpoint",
            "pace",
            "reactions",
            "report",
            "web",
        ),
        *("providers", "tally", "distinct", "schedule", "intake", "stops", "selection", "jobfile"),
        *("limiter", "manifest", "waterfall", "cluster"),
    },
    {"engine", "feed", "preflight"},
    {"api", "installed"},
    {"cli", "library", "polars", "mcp", "plugin", "__init__", "__main__"},
)
"""A room is `enricher/<room>.py` or the package of that name; it imports from lower floors only."""

ASIDE = "simulator"
"""Imports nothing of enricher; only these modules import it, and the tests."""
SIMULATOR_USERS = ("enricher.cli.simulate", "enricher.cli.demo")

ROOMS = {ASIDE}.union(*FLOORS)

SAME_FLOOR = {
    ("model", "errors"): "an illegal move of a state raises a class of the error tree",
    ("record", "model"): "a record has a state and JSON values, which are words of the model",
    ("verdicts", "model"): "an answer holds JSON values, whose type is a word of the model",
    ("cell", "model"): "a cell shows a JSON value, whose type is a word of the model",
    ("column", "cell"): "a column is many cells",
    ("column", "errors"): "a date without a text form is an input that cannot be read",
    ("cluster", "limiter"): "its scheduler holds the budget of its host for all workers",
    ("jobfile", "job"): "a job file says what a job may say: it is read by the model of the job",
    ("forms", "model"): "a form gives a value of the model",
    ("forms", "formats"): "standard input has a name of its own",
    ("forms", "cell"): "what is no text cannot be sent",
    ("forms", "places"): "a place is one of the values",
    ("places", "formats"): "a place tells the format by its name",
    ("extras", "errors"): "a library that is not installed is a problem of the input or output",
    ("objects", "errors"): "what a store refuses",
    ("objects", "extras"): "its library is an extra",
    ("objects", "places"): "which object",
    ("databases", "cell"): "what a database has no type for is the text of a cell",
    ("databases", "errors"): "what a database refuses",
    ("databases", "extras"): "its libraries are an extra",
    ("databases", "places"): "which database and table",
    ("__main__", "cli"): "`python -m enricher` is the same door",
    ("cli", "mcp"): "`enricher mcp` is how that door is opened",
    ("mcp", "library"): "a batch is a job of the library, in a process of its own",
    ("polars", "library"): "frames are run by the library, from a copy",
    ("polars", "errors"): "what is wrong with a frame is told as with a file",
    ("__init__", "library"): "`import enricher` is this door, behind names that wait for their use",
    ("__init__", "errors"): "the error tree is part of what `import enricher` gives",
}
"""The only imports between rooms of one floor, each with its reason."""

MUST_NOT_KNOW = {
    "engine": (
        "job",
        "source",
        "sink",
        "checkpoint",
        "report",
        "providers.transport",
        "providers.connections",
    ),
    **dict.fromkeys(
        ("cli", "library", "polars", "mcp", "__init__"), ("engine", "providers", "checkpoint")
    ),
}
"""Lower rooms that a room leaves to others all the same (files, SQL, HTTP; doors only call)."""

LIBRARIES = {
    "adbc_driver_manager": ("databases",),
    "adbc_driver_postgresql": ("databases",),
    "aiolimiter": ("pace",),
    "altair": ("report.charts",),
    "backports": ("zstd",),
    "click": ("cli",),
    "dask": ("cluster.connecting",),
    "distributed": (
        *("cluster.connecting", "cluster.nanny", "cluster.plugin", "cluster.worker"),
        *("api.cluster_task", "api.cluster_watch"),
    ),
    "compression": ("zstd",),
    "filelock": ("checkpoint", "limiter.host_files"),  # files of limits are opened, and removed
    "httpcore2": ("providers.transport", "providers.connections", "providers.network"),
    "httpx2": ("providers.transport", "providers.connections"),
    "jinja2": ("report.page",),
    "keyring": ("providers.system_keyring",),
    "markupsafe": ("report",),
    "mcp": ("mcp",),
    "mcp_types": ("mcp",),
    "obstore": ("objects",),
    "platformdirs": ("api", "job", "limiter.host"),
    "polars": (
        *("column", "mapping", "forecast", "source", "sink", "distinct", "feed", "selection"),
        "polars",
    ),
    "prometheus_client": ("report.metrics",),
    "pyarrow": ("databases",),
    "pydantic": ("forms", "job", "jobfile", "mcp"),
    "python_calamine": ("source.workbook",),
    "redis": ("limiter.shared_server",),
    "rich": ("cli",),
    "sqlite3": ("checkpoint", "databases", "limiter.host", "limiter.host_files"),
    "sqlite_utils": ("checkpoint",),
    "starlette": ("simulator", "web"),
    "tenacity": ("pace",),
    "uvicorn": ("simulator", "web", "mcp"),
    "vl_convert": ("report.charts",),
    "xlsxwriter": ("sink.workbook",),
}
"""Every third party (and sqlite3), and the rooms or modules that may import it."""

TYPE_ONLY = {("api", "polars"): "it hands tables from source to sink and may name their type"}
"""Libraries that a room may import under `TYPE_CHECKING` alone."""

WORLD = {"http", "io", "os", "pathlib", "shutil", "socket", "subprocess", "tempfile", "time"}
DOING = WORLD | {"asyncio", "threading"}
PURE = {
    **dict.fromkeys(
        (
            *("errors", "model", "record", "verdicts", "cell", "column", "harmless", "notice"),
            *("budget", "shard"),
        ),
        DOING,
    ),
    **dict.fromkeys(
        (
            "mapping",
            "forecast",
            "schedule",
            "reactions",
            "tally",
            "stops",
            "selection",
            "waterfall",
        ),
        DOING,
    ),
    **dict.fromkeys(("engine", "intake", "feed", "preflight"), WORLD | {"threading"}),
    "report": DOING - {"pathlib"},
}
"""Rooms without I/O or clock of their own (time is an input): what they may not import."""

WALL_CLOCK = re.compile(
    r"(datetime\.)?(time\.(time|time_ns|ctime|gmtime|localtime)|(datetime|date)\.(now|utcnow|today))"
)
"""What is read, as it is written."""
WALL_CLOCK_ROOMS = {
    "api": "stamps for people, and the age of a run that another process submitted",
    "checkpoint": "stamps that another process will read",
    "cli": "the stamp of a line of the log",
    "mcp": "a request to stop that is older than a process is not meant for it",
}
"""It may jump; everywhere else the event loop's monotonic clock decides."""

VENDORS = re.compile(r"bitscale|8bitedge|eightbitedge|scale_?gp", re.IGNORECASE)
VENDORLESS = (
    *("enricher.engine", "enricher.api.wiring", "enricher.api.running", "enricher.api.planning"),
    *("enricher.api.reading", "enricher.api.invocation", "enricher.api.chaining"),
    *("enricher.api.counting", "enricher.api.shift", "enricher.api.ending"),
)
"""They work with any provider: what differs is a capability, or stands in the registry."""
NAMELESS = {"utils", "util", "helpers", "common", "misc"}
MAX_BROAD_EXCEPTS = 2
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

LIGHT_HELP = (
    "polars",
    "altair",
    "jinja2",
    "prometheus_client",
    "starlette",
    "uvicorn",
    "httpx2",
    "pydantic",
    "sqlite_utils",
    "rich",
    "keyring",
    "mcp",
    "redis",
    "dask",
    "distributed",
)

# --- reading ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Import:
    target: str
    line: int
    type_only: bool

    @property
    def room(self) -> str:
        """The room of `enricher` that is imported; empty for anything else."""
        return room_of(self.target) if self.target.split(".")[0] == "enricher" else ""


@dataclass(frozen=True)
class Module:
    name: str
    path: str
    text: str
    tree: ast.Module
    imports: tuple[Import, ...]

    @property
    def room(self) -> str:
        return room_of(self.name)

    def at(self, line: int) -> str:
        return f"{self.path}:{line}"


def room_of(name: str) -> str:
    return name.split(".")[1] if "." in name else "__init__"


def is_below(name: str, prefixes: Sequence[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def read_house(package: Path) -> list[Module]:
    files = {_module_name(package, path): path for path in sorted(package.rglob("*.py"))}
    known = set(files) | {f"enricher.{room}" for room in ROOMS}
    modules = []
    for name, path in files.items():
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        base = name if path.name == "__init__.py" else name.rpartition(".")[0]
        imports = tuple(_imports(tree, base, known))
        shown = path.relative_to(package.parent).as_posix()
        modules.append(Module(name, shown, text, tree, imports))
    return modules


def _module_name(package: Path, path: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(tree: ast.Module, base: str, known: set[str]) -> Iterator[Import]:
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        for target in _targets(node, base, known):
            yield Import(target, getattr(node, "lineno", 0), id(node) in for_types)


def _targets(node: ast.AST, base: str, known: set[str]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    origin = node.module or ""
    if node.level:
        above = base.split(".")[: len(base.split(".")) - node.level + 1]
        origin = ".".join([*above, origin] if origin else above)
    names = [f"{origin}.{alias.name}" for alias in node.names]
    return [name if name in known else origin for name in names]


# --- the rules: each yields "file:line what is wrong" -------------------------------------------


def every_module_has_a_room(house: list[Module]) -> Iterator[str]:
    for module in house:
        if module.room not in ROOMS:
            yield f"{module.path}: room '{module.room}' has no floor; give it one in FLOORS"


def imports_point_down(house: list[Module]) -> Iterator[str]:
    floor_of = {room: number for number, floor in enumerate(FLOORS) for room in floor}
    for module, used in _inner_imports(house):
        mine, theirs = floor_of.get(module.room), floor_of.get(used.room)
        if mine is None or theirs is None or module.room == used.room:
            continue
        where = module.at(used.line)
        if theirs > mine:
            yield f"{where}: '{module.room}' (floor {mine}) looks up to '{used.room}' ({theirs})"
        elif theirs == mine and (module.room, used.room) not in SAME_FLOOR:
            yield f"{where}: '{module.room}' and '{used.room}' share floor {mine}"


def rooms_keep_to_themselves(house: list[Module]) -> Iterator[str]:
    for module, used in _inner_imports(house):
        barred = [f"enricher.{name}" for name in MUST_NOT_KNOW.get(module.room, ())]
        if is_below(used.target, barred):
            yield f"{module.at(used.line)}: '{module.room}' must not know {used.target}"


def the_simulator_stands_aside(house: list[Module]) -> Iterator[str]:
    for module, used in _inner_imports(house):
        where = module.at(used.line)
        if module.room == ASIDE and used.room != ASIDE:
            yield f"{where}: the simulator imports {used.target}; it knows nothing of enricher"
        if used.room == ASIDE != module.room and not is_below(module.name, SIMULATOR_USERS):
            yield f"{where}: only {' and '.join(SIMULATOR_USERS)} import the simulator"


def libraries_stay_at_home(house: list[Module]) -> Iterator[str]:
    for module in house:
        for used in module.imports:
            library = used.target.split(".")[0]
            if library in LIBRARIES:
                homes = [f"enricher.{name}" for name in LIBRARIES[library]]
                spared = used.type_only and (module.room, library) in TYPE_ONLY
                if not spared and not is_below(module.name, homes):
                    yield f"{module.at(used.line)}: {library} belongs to {', '.join(homes)}"
            elif library != "enricher" and library not in sys.stdlib_module_names:
                yield f"{module.at(used.line)}: {library} has no home; give it one in LIBRARIES"


def pure_rooms_touch_nothing(house: list[Module]) -> Iterator[str]:
    for module in house:
        for used in module.imports:
            if used.target.split(".")[0] in PURE.get(module.room, ()):
                yield f"{module.at(used.line)}: '{module.room}' is pure; it imports {used.target}"


def the_wall_clock_decides_nothing(house: list[Module]) -> Iterator[str]:
    for module in house:
        for node in ast.walk(module.tree):
            read = [ast.unparse(node)] if isinstance(node, ast.Attribute) else []
            if isinstance(node, ast.ImportFrom) and node.module == "time":
                read = [f"time.{alias.name}" for alias in node.names]
            for name in filter(WALL_CLOCK.fullmatch, read):
                if module.room not in WALL_CLOCK_ROOMS:
                    where = module.at(getattr(node, "lineno", 0))
                    yield f"{where}: '{module.room}' reads the wall clock, {name}"


def only_providers_name_vendors(house: list[Module]) -> Iterator[str]:
    for module in house:
        for number, line in enumerate(module.text.splitlines(), 1):
            if is_below(module.name, VENDORLESS) and (found := VENDORS.search(line)):
                where = module.at(number)
                yield f"{where}: '{module.room}' names a vendor, {found.group()}"


def nothing_goes_in_circles(house: list[Module]) -> Iterator[str]:
    graph = {m.name: {used.target for used in m.imports if used.room} - {m.name} for m in house}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        yield f"import cycle: {' ← '.join(error.args[1])}"


def files_are_named_by_topic(house: list[Module]) -> Iterator[str]:
    for module in house:
        if module.name.rpartition(".")[2] in NAMELESS:
            yield f"{module.path}: a helper lives in a file with a topic"


def broad_excepts_are_few(house: list[Module]) -> Iterator[str]:
    found = [module.at(line) for module in house for line in _broad_excepts(module.tree)]
    if len(found) > MAX_BROAD_EXCEPTS:
        yield from (f"{where}: broad except, one of {len(found)}" for where in found)


def sizes_are_small(house: list[Module]) -> Iterator[str]:
    for module in house:
        lines = module.text.count("\n")
        if lines > MAX_FILE_LINES:
            yield f"{module.path}: {lines} lines, above {MAX_FILE_LINES}"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    where = module.at(node.lineno)
                    yield f"{where}: {node.name}: {lines} lines, above {MAX_FUNCTION_LINES}"


def exceptions_are_needed(house: list[Module]) -> Iterator[str]:
    rooms = {module.room for module in house}
    pairs = {(module.room, used.room) for module, used in _inner_imports(house)}
    for pair in SAME_FLOOR:
        if rooms.issuperset(pair) and pair not in pairs:
            yield f"SAME_FLOOR: nothing needs {pair} any more"


def _inner_imports(house: list[Module]) -> Iterator[tuple[Module, Import]]:
    return ((module, used) for module in house for used in module.imports if used.room)


def _broad_excepts(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = [node.type]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            caught = [*node.args]
        else:
            continue
        flat = [x for c in caught for x in (c.elts if isinstance(c, ast.Tuple) else [c])]
        if any(x is None or ast.unparse(x) in {"Exception", "BaseException"} for x in flat):
            yield node.lineno


Rule = Callable[[list[Module]], Iterator[str]]
RULES: Sequence[Rule] = (
    every_module_has_a_room,
    imports_point_down,
    rooms_keep_to_themselves,
    the_simulator_stands_aside,
    libraries_stay_at_home,
    pure_rooms_touch_nothing,
    the_wall_clock_decides_nothing,
    only_providers_name_vendors,
    nothing_goes_in_circles,
    files_are_named_by_topic,
    broad_excepts_are_few,
    sizes_are_small,
    exceptions_are_needed,
)

# --- the tests -------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_house(rule: Rule) -> None:
    house = read_house(PACKAGE)
    assert house, f"no modules below {PACKAGE}"
    offences = list(rule(house))
    assert not offences, "\n".join(["", *offences])


CIRCLE = {"job.py": "import enricher.tally", "tally.py": "def f():\n    import enricher.job"}
SWALLOW = "try:\n    pass\nexcept {}:\n    pass\n"

OFFENCES = [
    (every_module_has_a_room, {"attic.py": ""}, "attic.py: room 'attic'"),
    (imports_point_down, {"pace.py": "from enricher.engine import x"}, "pace.py:1"),
    (imports_point_down, {"sink/csv.py": "from enricher import source"}, "share floor 1"),
    (imports_point_down, {"tally.py": "def f():\n    import enricher.api"}, "tally.py:2"),
    (imports_point_down, {"source/csv.py": "from ..sink import x"}, "share floor 1"),
    (rooms_keep_to_themselves, {"engine.py": "from enricher.checkpoint import x"}, "engine.py:1"),
    (rooms_keep_to_themselves, {"cli/run.py": "from enricher.providers.base import x"}, "run.py:1"),
    (imports_point_down, {"api.py": "from enricher import __version__"}, "'__init__'"),
    (the_simulator_stands_aside, {"cli/run.py": "from enricher import simulator"}, "run.py:1"),
    (the_simulator_stands_aside, {"simulator/app.py": "import enricher.model"}, "app.py:1"),
    (libraries_stay_at_home, {"providers/bitscale.py": "import httpx2"}, "bitscale.py:1"),
    (libraries_stay_at_home, {"api.py": "import polars as pl"}, "api.py:1: polars"),
    (libraries_stay_at_home, {"job.py": "from requests import get"}, "requests has no home"),
    (pure_rooms_touch_nothing, {"engine.py": "from time import monotonic"}, "engine.py:1"),
    (pure_rooms_touch_nothing, {"model.py": "import pathlib"}, "model.py:1"),
    (the_wall_clock_decides_nothing, {"pace.py": "import time\nx = time.time()"}, "pace.py:2"),
    (the_wall_clock_decides_nothing, {"sink/a.py": "from time import time_ns"}, "time_ns"),
    (the_wall_clock_decides_nothing, {"tally.py": "x = datetime.datetime.now(UTC)"}, "tally.py:1"),
    (only_providers_name_vendors, {"engine.py": "URL = 'https://api.BitScale.test'"}, "BitScale"),
    (only_providers_name_vendors, {"api/wiring.py": "KEY = 'EIGHTBITEDGE_TOKEN'"}, "EIGHTBITEDGE"),
    (nothing_goes_in_circles, CIRCLE, "import cycle"),
    (files_are_named_by_topic, {"source/utils.py": ""}, "source/utils.py"),
    (broad_excepts_are_few, {"api.py": SWALLOW.format("(OSError, Exception)") * 3}, "api.py:3"),
    (sizes_are_small, {"api.py": "x = 1\n" * 401}, "401 lines"),
    (sizes_are_small, {"api.py": "def f():\n" + "    x = 1\n" * 60}, "api.py:1: f: 61 lines"),
    (exceptions_are_needed, {"model.py": "", "errors.py": ""}, "('model', 'errors')"),
]


@pytest.mark.parametrize(
    ("rule", "files", "word"), OFFENCES, ids=[f"{case[0].__name__}-{case[2]}" for case in OFFENCES]
)
def test_rules_bite(rule: Rule, files: dict[str, str], word: str, tmp_path: Path) -> None:
    offences = "\n".join(rule(build_house(tmp_path, files)))
    assert word in offences


def test_a_good_house_passes(tmp_path: Path) -> None:
    files = {
        "__main__.py": "from enricher.cli import main",
        "cli/__init__.py": "import click\nfrom enricher import api",
        "cli/demo.py": "from enricher.simulator import rules",
        "api.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import polars",
        "source/__init__.py": "from enricher.source.csv import x\nfrom . import csv",
        "source/csv.py": "import polars\nfrom enricher.errors import InputError",
        "simulator/rules.py": "",
    }
    house = build_house(tmp_path, files)
    assert [offence for rule in RULES for offence in rule(house)] == []


def build_house(folder: Path, files: dict[str, str]) -> list[Module]:
    for name, text in files.items():
        path = folder / "enricher" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return read_house(folder / "enricher")


def test_every_room_has_its_floor_in_the_guide_for_contributors() -> None:
    rows = re.findall(r"^\| (\d|aside)[^|]*\|(.*)", (ROOT / "CONTRIBUTING.md").read_text(), re.M)
    told: dict[str, str] = {}
    for floor, text in rows:
        told[floor] = told.get(floor, "") + text
    missing = [
        (room, floor)
        for floor, rooms in [*enumerate(FLOORS), ("aside", {ASIDE})]
        for room in sorted(rooms)
        if f"`{room}`" not in told[str(floor)]
    ]
    assert missing == []


@pytest.mark.skipif(not (PACKAGE / "__main__.py").exists(), reason="no command line yet")
def test_help_waits_for_nothing_heavy() -> None:
    imported = imported_by("-m", "enricher", "--help")
    assert "enricher.cli" in imported
    assert sorted(name for name in imported if is_below(name, LIGHT_HELP)) == []


def test_a_run_waits_for_nothing_that_draws_or_serves() -> None:
    imported = imported_by("-c", "import enricher.api")
    assert "enricher.api" in imported
    drawing = ("altair", "jinja2", "prometheus_client", "starlette", "uvicorn", "vl_convert")
    others = (*drawing, "dask", "distributed")
    assert sorted(name for name in imported if is_below(name, others)) == []


def imported_by(*words: str) -> set[str]:
    """The modules that Python imports for a command line."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
