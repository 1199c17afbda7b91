"""Session cookies, and where a request comes from."""

from datetime import timedelta

from fastapi import Request, Response


def address_of(request: Request) -> str:
    """The client's address, as the server or a trusted proxy tells it."""
    return request.client.host if request.client else ""


def set_session_cookie(response: Response, request: Request, name: str, token: str, age: timedelta) -> None:
    """Out of reach of scripts, of other sites, and of clear text where the request came over TLS."""
    response.set_cookie(
        name,
        token,
        max_age=int(age.total_seconds()),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


def end_session_cookie(response: Response, name: str) -> None:
    response.delete_cookie(name, path="/", httponly=True, samesite="lax")
