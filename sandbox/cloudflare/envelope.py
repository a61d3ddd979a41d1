"""Requests, replies and the envelope around everything that the API says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """An HTTP request below `/client/v4`; the names of `headers` are in lower case, `body` is parsed JSON."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True)
class Reply:
    """Status, headers and JSON body."""

    status: int
    body: Json
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """The API answers with errors. `chain` is what the useful text of a 1004 hides in."""

    def __init__(self, status: int, code: int, message: str, *, chain: Sequence[tuple[int, str]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.chain = chain
        self.headers: dict[str, str] = {}

    def reply(self) -> Reply:
        """The envelope of this refusal."""
        error: Json = {"code": self.code, "message": self.message}
        if self.chain:
            error["error_chain"] = [{"code": code, "message": message} for code, message in self.chain]
        body = {"success": False, "errors": [error], "messages": [], "result": None}
        return Reply(self.status, body, self.headers)


def success(result: Any, **more: Any) -> Reply:
    """The envelope of a success."""
    return Reply(200, {"success": True, "errors": [], "messages": [], "result": result, **more})


def no_route(path: str) -> RefusedError:
    """A bad id in the path: not the same as an object that does not exist."""
    message = f"Could not route to {path}, perhaps your object identifier is invalid?"
    return RefusedError(404, 7003, message, chain=((7000, "No route for that URI"),))


def parsed(body: Any) -> Json:
    """The object in a request's body. Raises RefusedError (400)."""
    if not isinstance(body, dict):
        raise RefusedError(400, 6007, "Malformed JSON in request body")
    return body
