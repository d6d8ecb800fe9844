"""`enricher simulate`."""

from typing import TYPE_CHECKING, Any

import click

from enricher.cli.programs import one_line
from enricher.cli.telling import tell
from enricher.errors import CannotGoOn

if TYPE_CHECKING:
    from enricher.simulator import World
    from enricher.simulator.server import RunningSimulator

APIS = ("bitscale", "8bitedge", "scale")


class DurationSpec(click.ParamType[Any]):
    """How long simulated runs last, in seconds."""

    name = "spec"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        from enricher.simulator import parse_duration

        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class FaultSpec(click.ParamType[Any]):
    """Shares of requests that go wrong, by kind."""

    name = "spec"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        from enricher.simulator import parse_faults

        try:
            return parse_faults(value)
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


@click.command("simulate", short_help="Serve stand-ins of the provider APIs on this machine.")
@click.option(
    "--api",
    "apis",
    metavar="NAME",
    type=click.Choice(APIS),
    multiple=True,
    default=("bitscale",),
    help="bitscale, 8bitedge or scale; repeatable. Default: bitscale.",
)
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
    help="The limit that each API enforces, in requests per second. Default: 5.",
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
@click.option(
    "--faults",
    type=FaultSpec(),
    default="",
    metavar="SPEC",
    help="Shares of requests that go wrong, as in drop_after=0.02,500=0.01. Kinds: drop_before,"
    " drop_after, truncate, slow, hang, 429, 500, 503, html. Default: none.",
)
@click.option("--seed", type=int, default=0, metavar="N", help="Another world. Default: 0.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def command(
    apis: tuple[str, ...],
    port: int,
    rate: float | None,
    duration: Any,
    fail_rate: float,
    faults: Any,
    seed: int,
    as_json: bool,
) -> int:
    """Serve stand-ins of the provider APIs on loopback until Ctrl-C.

    Prints lines for your shell once it is ready. No account, no credits, the same answers.

    \b
    enricher simulate --port 8765
    enricher simulate --api 8bitedge --api scale --faults drop_after=0.02
    """
    from enricher.simulator import Api, Faults, Settings, World, eightbitedge, scale
    from enricher.simulator.server import serve

    alike: dict[str, Any] = {
        "rate": rate,
        "duration": duration,
        "fail_rate": fail_rate,
        "seed": seed,
    }
    world = World(
        apis=tuple(Api(api) for api in dict.fromkeys(apis)),
        bitscale=Settings(**alike),
        eightbitedge=eightbitedge.Settings(**alike),
        scale=scale.Settings(**alike),
        faults=Faults(faults.shares, seed),
    )

    def ready(simulator: "RunningSimulator") -> None:
        facts = _facts(simulator, world)
        tell(one_line(_as_json(facts)) if as_json else _shell(facts))

    try:
        serve(world, port, ready)
    except OSError as error:
        raise CannotGoOn(
            f"The simulator could not start: {error}.",
            mend="Choose another --port, or leave it out for a free one.",
            code="port_in_use",
        ) from None
    return 0


def _facts(simulator: "RunningSimulator", world: "World") -> dict[str, dict[str, Any]]:
    """What a client needs to know of each API."""
    tell_of = {"bitscale": _bitscale, "8bitedge": _eightbitedge, "scale": _scale}
    return {
        api: {"base_url": simulator.base_url_of(api), **tell_of[api](world)} for api in world.apis
    }


def _as_json(facts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """BitScale's facts stand at the top, those of the others under their names."""
    return {**facts.get("bitscale", {}), **{k: v for k, v in facts.items() if k != "bitscale"}}


def _bitscale(world: "World") -> dict[str, Any]:
    grids = [grid for grid in world.bitscale.grids if not grid.foreign]
    return {
        "api_key": world.bitscale.api_key,
        "grids": [
            {"id": grid.id, "name": grid.name, "inputs": list(grid.labels)} for grid in grids
        ],
    }


def _eightbitedge(world: "World") -> dict[str, Any]:
    from enricher.simulator.eightbitedge import Endpoint

    settings = world.eightbitedge
    return {
        "token": settings.token,
        "max_batch_size": settings.plan.value,
        "endpoints": [{"name": one.value, "scope": one.scope} for one in Endpoint],
    }


def _scale(world: "World") -> dict[str, Any]:
    from enricher.simulator.scale import own_workflows

    settings = world.scale
    return {
        "api_key": settings.api_key,
        "account_id": settings.account_id,
        "workflows": [
            {"id": flow.id, "name": flow.name, "variables": list(flow.defaults)}
            for flow in own_workflows(settings)
        ],
    }


VARIABLES = {
    "bitscale": {"base_url": "BITSCALE_BASE_URL", "api_key": "BITSCALE_API_KEY"},
    "8bitedge": {"base_url": "EIGHTBITEDGE_BASE_URL", "token": "EIGHTBITEDGE_TOKEN"},
    "scale": {
        "base_url": "SCALE_BASE_URL",
        "api_key": "SCALE_API_KEY",
        "account_id": "SCALE_ACCOUNT_ID",
    },
}
"""The environment variables that the facts of an API go into."""


def _shell(facts: dict[str, dict[str, Any]]) -> str:
    lines: list[str] = []
    for api, told in facts.items():
        lines += [f"export {name}={told[fact]}" for fact, name in VARIABLES[api].items()]
        lines += [
            f"# grid {grid['id']}  {grid['name']}  (inputs: {', '.join(grid['inputs'])})"
            for grid in told.get("grids", ())
        ]
        lines += [
            f"# endpoint {one['name']}  (scope {one['scope']}, {told['max_batch_size']} items a"
            " batch at most)"
            for one in told.get("endpoints", ())
        ]
        lines += [
            f"# workflow {flow['id']}  {flow['name']}  (variables: {', '.join(flow['variables'])})"
            for flow in told.get("workflows", ())
        ]
    return "\n".join(lines)
