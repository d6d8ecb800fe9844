"""The seven endpoints (BitScale API v1, 1)."""

from enum import Enum

from enricher.simulator.errors import ErrorCode, Refused


class Endpoint(Enum):
    """An endpoint, by its method and its path."""

    WORKSPACE = ("GET", "/workspace")
    GRIDS = ("GET", "/grids")
    GRID = ("GET", "/grids/:gridId")
    CURL = ("GET", "/grids/:gridId/curl")
    RUN = ("POST", "/grids/:gridId/run")
    STATUS = ("GET", "/run/status/:requestId")
    ROTATE = ("POST", "/api-key/rotate")

    @property
    def method(self) -> str:
        return self.value[0]


def find_endpoint(method: str, path: str) -> tuple[Endpoint, str]:
    """The endpoint of a request, and the id in its path (or "")."""
    endpoint, identifier = _by_path(path)
    if method != endpoint.method:
        raise Refused(ErrorCode.METHOD_NOT_ALLOWED, endpoint.method)
    return endpoint, identifier


def _by_path(path: str) -> tuple[Endpoint, str]:
    match path.split("/")[1:]:
        case ["workspace"]:
            return Endpoint.WORKSPACE, ""
        case ["grids"]:
            return Endpoint.GRIDS, ""
        case ["grids", grid_id]:
            return Endpoint.GRID, grid_id
        case ["grids", grid_id, "curl"]:
            return Endpoint.CURL, grid_id
        case ["grids", grid_id, "run"]:
            return Endpoint.RUN, grid_id
        case ["run", "status", request_id]:
            return Endpoint.STATUS, request_id
        case ["api-key", "rotate"]:
            return Endpoint.ROTATE, ""
        case _:
            raise Refused(ErrorCode.NOT_FOUND)
