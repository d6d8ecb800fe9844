"""The network of one life: it brings faults in, and dies with its client, not with the server."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import httpcore2

from enricher.simulator import Request, Response
from tests.simulation.disaster import Disaster
from tests.simulation.faults import (
    LOOK_FAULTS,
    NO_CONNECTION,
    ROW_FAULTS,
    SUBMISSION_FAULTS,
    YOUR_KEY,
    Effect,
    Fault,
)
from tests.simulation.server import HOST, Server
from tests.simulation.witness import Witness
from tests.support.network import Canned, Happening, SimulatedNetwork, Trouble


class Weather:
    """Which fault a request meets.

    Attributes:
        is_mended: a person has seen to what stops the job.
        is_calm: the disasters are over.
    """

    def __init__(self, disaster: Disaster, clock: Callable[[], float]) -> None:
        self._disaster = disaster
        self._clock = clock
        self._chance = disaster.rng("weather")
        self.is_calm = False
        self.is_mended = False

    def storm(self) -> str:
        """The fault that all requests meet now, or nothing."""
        now = 0.0 if self.is_calm else self._clock()
        for storm in self._disaster.storms:
            if storm.begins <= now < storm.begins + storm.lasts:
                return storm.fault
        return ""

    def fault_of(self, request: Request) -> tuple[str, Fault | None]:
        """The fault and its name."""
        submission = request.method == "POST"
        faults = SUBMISSION_FAULTS if submission else LOOK_FAULTS
        if (name := self.storm()) and name != NO_CONNECTION:
            return name, faults[name]
        if submission and not self.is_calm:
            for word, kind in self._disaster.poison.items():
                if f'"{word}"' in request.body.decode():
                    return kind, ROW_FAULTS[kind]
        if self.is_calm:
            return "", None
        about = self._disaster
        likely = about.submission_faults if submission else about.look_faults
        for name, chance in likely.items():
            stops = faults[name].effect is Effect.STOPS
            if self._chance.random() < chance and not (stops and self.is_mended):
                return name, faults[name]
        return "", None

    def happening(self, fault: Fault, request: Request) -> Happening:
        happening = fault.make(self._chance)
        if isinstance(happening, Canned):
            key = request.headers["x-api-key"].encode()
            return replace(happening, body=happening.body.replace(YOUR_KEY.encode(), key))
        return happening


class Wire(SimulatedNetwork):
    """All connections of one life."""

    def __init__(
        self, disaster: Disaster, server: Server, weather: Weather, witness: Witness
    ) -> None:
        super().__init__(server)  # type: ignore[arg-type]  # it answers as a `Workspace` does
        self._disaster = disaster
        self._weather = weather
        self._witness = witness
        self._chance: Random = disaster.rng(f"wire {witness.life}")
        self.is_cut = False

    async def connect_tcp(
        self, host: str, port: int, *args: Any, **more: Any
    ) -> httpcore2.AsyncNetworkStream:
        if host != HOST:
            self._witness.blame(f"it went to {host}, where the server's words led it")
        if self.is_cut or self._weather.storm() == NO_CONNECTION or host != HOST:
            await asyncio.sleep(0.01)
            raise httpcore2.ConnectError("connection refused")
        await asyncio.sleep(self._disaster.connecting * self._chance.random())
        return await super().connect_tcp(host, port, *args, **more)

    def one_way(self) -> float:
        return self._disaster.latency * self._chance.uniform(0.3, 0.7)

    def take(self, request: Request) -> Happening:
        if self.is_cut:
            return Trouble.SWALLOWED
        name, fault = self._weather.fault_of(request)
        self._witness.sent(request, name, fault)
        return self._weather.happening(fault, request) if fault else None

    def answered(self, request: Request, response: Response, *, whole: bool) -> None:
        if not self.is_cut:
            self._witness.answered(request, response, whole=whole)
