"""The examples for schedulers: each parses, and each command in it is one that there is."""

import ast
import re
import subprocess
from pathlib import Path

import click
import pytest
import yaml  # type: ignore[import-untyped]  # it comes with schemathesis

from enricher.cli.tree import cli
from tests.test_docs import mistake_in

EXAMPLES = Path(__file__).parent.parent / "docs/examples"
COMMAND = re.compile(r"enricher ((?:run|merge|plan) [^\n]*(?:\\\n[^\n]*)*)")


def commands(text: str) -> list[list[str]]:
    found = (words.replace("\\\n", " ") for words in COMMAND.findall(text))
    return [command.split("||")[0].split() for command in found]


def assert_taken(arguments: list[str]) -> None:
    command = cli.get_command(click.Context(cli), arguments[0])
    assert command is not None
    assert mistake_in(command, arguments[1:]) == ""


@pytest.mark.parametrize("name", ["parallel.sh", "slurm.sh"])
def test_shell(name: str) -> None:
    subprocess.run(["sh", "-n", EXAMPLES / name], check=True)
    text = "\n".join(
        line for line in (EXAMPLES / name).read_text().splitlines() if not line.startswith("#")
    )
    found = commands(text)
    assert found
    for arguments in found:
        assert_taken(arguments)


def test_kubernetes() -> None:
    job = yaml.safe_load((EXAMPLES / "kubernetes.yaml").read_text())
    assert (job["kind"], job["spec"]["completionMode"]) == ("Job", "Indexed")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert_taken(container["args"])
    policy = job["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]
    assert policy["containerName"] == container["name"]
    assert not {0, 4, 130, 143} & set(policy["values"]), "these are mended by another try"


def test_airflow() -> None:
    tree = ast.parse((EXAMPLES / "airflow_dag.py").read_text())
    texts = [
        "".join(
            str(getattr(part, "value", "x")) if isinstance(part, ast.Constant) else "x"
            for part in node.values
        )
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
    ]
    found = [arguments for text in texts for arguments in commands(text)]
    assert len(found) == 3
    for arguments in found:
        assert_taken(arguments)
