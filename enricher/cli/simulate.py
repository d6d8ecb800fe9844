"""`enricher simulate`."""

from typing import TYPE_CHECKING, Any

import click

from enricher.cli.telling import one_line, tell
from enricher.errors import CannotGoOn

if TYPE_CHECKING:
    from enricher.simulator import Settings


class DurationSpec(click.ParamType[Any]):
    """How long simulated runs last, in seconds."""

    name = "spec"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        from enricher.simulator import parse_duration

        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class SimulatedRate(click.ParamType[Any]):
    """Requests per second, or `unlimited`."""

    name = "rate"

    def convert(self, value: Any, param: Any, ctx: Any) -> float | None:
        if value == "unlimited":
            return None
        try:
            rate = float(value)
        except ValueError:
            rate = 0.0
        if not 0 < rate < float("inf"):
            self.fail(f"{value!r} is no number of requests per second above 0", param, ctx)
        return rate


@click.command("simulate", short_help="Serve a stand-in of the BitScale API on this machine.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="N",
    help="Port on 127.0.0.1. Default: any free one.",
)
@click.option(
    "--rate",
    type=SimulatedRate(),
    default="5",
    metavar="N|unlimited",
    help="The limit it enforces, in requests per second. Default: 5.",
)
@click.option(
    "--duration",
    type=DurationSpec(),
    default="uniform:1:5",
    metavar="SPEC",
    help="How long runs last, in seconds: 3, uniform:1:5, lognormal:20, bimodal:4:120."
    " Default: uniform:1:5.",
)
@click.option(
    "--fail-rate",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="P",
    help="The share of runs that fail, 0 to 1. Default: 0.",
)
@click.option("--seed", type=int, default=0, metavar="N", help="Another world. Default: 0.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def command(
    port: int, rate: float | None, duration: Any, fail_rate: float, seed: int, as_json: bool
) -> int:
    """Serve a stand-in of the BitScale API on loopback until Ctrl-C.

    Prints lines for your shell once it is ready. No account, no credits, the same rate limit.

    \b
    enricher simulate --port 8765
    enricher simulate --rate 50 --duration lognormal:20 --fail-rate 0.1
    """
    from enricher.simulator import Settings
    from enricher.simulator.server import serve

    settings = Settings(rate=rate, duration=duration, fail_rate=fail_rate, seed=seed)

    def ready(base_url: str) -> None:
        lines = one_line(_facts(base_url, settings)) if as_json else _shell(base_url, settings)
        tell(lines)

    try:
        serve(settings, port, ready)
    except OSError as error:
        raise CannotGoOn(
            f"The simulator could not start: {error}.",
            mend="Choose another --port, or leave it out for a free one.",
            code="port_in_use",
        ) from None
    return 0


def _shell(base_url: str, settings: "Settings") -> str:
    lines = [f"export BITSCALE_BASE_URL={base_url}", f"export BITSCALE_API_KEY={settings.api_key}"]
    for grid in _own_grids(settings):
        lines.append(f"# grid {grid.id}  {grid.name}  (inputs: {', '.join(grid.labels)})")
    return "\n".join(lines)


def _facts(base_url: str, settings: "Settings") -> dict[str, Any]:
    return {
        "base_url": base_url,
        "api_key": settings.api_key,
        "grids": [
            {"id": grid.id, "name": grid.name, "inputs": list(grid.labels)}
            for grid in _own_grids(settings)
        ],
    }


def _own_grids(settings: "Settings") -> list[Any]:
    return [grid for grid in settings.grids if not grid.foreign]
