"""One rate limit for many hosts: a value on a Redis or Valkey server, changed by a script there.

Only the server's clock counts, so the hosts' clocks may differ. The value has a lifetime. A server
that has lost it is taken for a new one: nobody knows what was sent in the second before, so nobody
sends for a second, and places that are held are told again by their holders.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import files
from typing import Any

import redis.asyncio as redis
from redis.exceptions import AuthenticationError, RedisError

from enricher.budget import BudgetAway, Heard, Said
from enricher.errors import CannotGoOn

_PATIENCE = 2.0
"""Seconds to wait for an answer; what was given in one that is lost is used up with its lease."""

_PREFIX = "enricher:limit:"


class ServerBudget:
    """The budget on a server.

    Args:
        url: `redis://host:port/database`, without a secret in it.
        name: what the budget is called there.
        environ: holds `REDIS_USERNAME` and `REDIS_PASSWORD`, if the server wants them.
    """

    def __init__(self, url: str, name: str, environ: Mapping[str, str]) -> None:
        self._url = url
        self._name = _PREFIX + name
        self._owner = uuid.uuid4().hex
        self._server = redis.Redis.from_url(
            url,
            username=environ.get("REDIS_USERNAME") or None,
            password=environ.get("REDIS_PASSWORD") or None,
            socket_timeout=_PATIENCE,
            socket_connect_timeout=_PATIENCE,
        )
        script = files("enricher.limiter").joinpath("exchange.lua").read_text(encoding="utf-8")
        self._script = self._server.register_script(script)

    async def exchange(self, said: Said) -> Heard:
        """See `Budget`.

        Raises:
            CannotGoOn: the server wants another password.
        """
        heard = await self._call(asdict(said))
        return Heard(
            [int(place) for place in heard.get("places", ())],
            float(heard["wait"]),
            int(heard["used"]),
            bool(heard["shared"]),
        )

    async def aclose(self) -> None:
        """Leave; places that are held keep their lease."""
        try:
            await self._call({"rate": 1.0, "margin": 0.0, "leave": True})
        except (BudgetAway, CannotGoOn):  # it is forgotten soon anyway
            pass
        finally:
            await self._server.aclose()

    async def _call(self, said: Mapping[str, Any]) -> Any:
        try:
            return json.loads(
                await self._script(keys=[self._name], args=[json.dumps(said), self._owner])
            )
        except AuthenticationError as error:
            raise CannotGoOn(
                f"The limiter {self._url} does not let us in: {error}.",
                mend="Put its password into REDIS_PASSWORD (and REDIS_USERNAME).",
                code="limiter_refused",
            ) from None
        except (RedisError, OSError, ValueError) as error:
            raise BudgetAway(f"the limiter {self._url} does not answer ({error})") from None
