"""Sign-in with a company account: OpenID Connect, the code flow with PKCE, state and nonce. Tokens are read by Authlib.

What has to be remembered from one leg to the other is one secret in a short-lived cookie: state, nonce and verifier are
made of it, each in a way of its own, so that none of them tells another. A session comes of an id token that the
provider signed for us and for this very sign-in, and of nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
from authlib.oauth2.auth import ClientAuth  # type: ignore[import-untyped]
from authlib.oauth2.client import OAuth2Client  # type: ignore[import-untyped]
from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from runner.config.ends import OpenId as Settings
from runner.config.ends import is_local
from runner.errors import ConfigError
from runner.secrets import read

#: Signatures that only the provider can make. None of them is a shared secret's, and none is no signature at all.
_SIGNED = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
#: How long what a provider says of itself, and its keys, are taken for true.
_KEPT = timedelta(hours=1)
#: Keys that are not there yet are asked for again so often at most.
_AGAIN = timedelta(minutes=1)
#: Seconds of one answer: until something comes, and until all of it is there; and its bytes.
_WAIT, _WHOLE, _LARGEST = 5.0, 10.0, 512 * 1024
#: Seconds that two clocks may differ.
_LEEWAY = 120
#: So many talk to the provider at once. While it hangs, the desk still has threads for everybody else.
_AT_ONCE = 6

Json = Mapping[str, Any]


class Unproven(Exception):  # noqa: N818 - it is an answer
    """Nobody was signed in: what happened, what to do, the status, and for the log the reason."""

    def __init__(self, what: str, remedy: str, status: int, reason: str = "") -> None:
        super().__init__(what)
        self.what, self.remedy, self.status, self.reason = what, remedy, status, reason


_ANEW = "Begin the sign-in once more."
_LATER = "Try again in a moment, or have a link sent to you."
_OFF = "Whoever keeps this desk finds the reason in its log. Have a link sent to you meanwhile."


@dataclass(frozen=True)
class Begun:
    """One sign-in under way: its one secret, and what is made of it."""

    secret: str = field(repr=False)

    def part(self, name: str) -> str:
        """The `state`, `nonce` or `verifier` of this sign-in."""
        made = hmac.new(self.secret.encode("utf-8", "replace"), name.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


@dataclass(frozen=True)
class Asked:
    """With whom, on which way back, and when."""

    settings: Settings
    back: str
    environment: Mapping[str, str] = field(repr=False)
    now: datetime


@dataclass(frozen=True)
class _Known:
    """What a provider says of itself, its keys, and when it said so."""

    issuer: str
    said: Json
    keys: Json
    at: datetime


class Provider:
    """The provider that config names, asked when first needed. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(_AT_ONCE)
        self._known: _Known | None = None

    def begin(self, asked: Asked, begun: Begun) -> str:
        """The address to which the browser goes on. Raises Unproven."""
        place = _place(self._of(asked).said, "authorization_endpoint")
        settings = asked.settings
        client = OAuth2Client(
            None, settings.client, redirect_uri=asked.back, scope="openid email", code_challenge_method="S256"
        )
        state, nonce, verifier = (begun.part(name) for name in ("state", "nonce", "verifier"))
        address, _ = client.create_authorization_url(place, state=state, code_verifier=verifier, nonce=nonce)
        return str(address)

    def finish(self, asked: Asked, begun: Begun, answer: Mapping[str, str]) -> str:
        """The address of whoever came back, which the provider vouches for. Raises Unproven."""
        if not hmac.compare_digest(answer.get("state", "").encode("utf-8", "replace"), begun.part("state").encode()):
            raise Unproven("This sign-in was begun in another window, or too long ago.", _ANEW, 400)
        if "error" in answer or not answer.get("code"):
            raise Unproven(f"{_title(asked)} did not let you in.", _ANEW, 403)
        known = self._of(asked)
        if answer.get("iss", known.issuer) != known.issuer:
            raise _unreadable(asked, "the answer is from another issuer")
        tokens = self._tokens(asked, known, begun, answer["code"])
        claims = self._claims(asked, known, begun, tokens)
        return _address(asked, claims)

    def _of(self, asked: Asked, *, since: timedelta = _KEPT) -> _Known:
        """What the provider says of itself, not older than `since`. Raises Unproven."""
        issuer = asked.settings.issuer
        known = self._known
        if known is not None and known.issuer == issuer and abs(asked.now - known.at) < since:
            return known
        said = self._ask(asked, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if said.get("issuer") != issuer:
            raise _unreadable(asked, "it calls itself by another name than desk.open_id.issuer in settings.yml")
        found = _Known(issuer, said, self._ask(asked, _place(said, "jwks_uri")), asked.now)
        with self._lock:
            self._known = found
        return found

    def _tokens(self, asked: Asked, known: _Known, begun: Begun, code: str) -> Json:
        """The tokens that a code is worth, once. Raises Unproven."""
        settings = asked.settings
        try:
            secret = read(settings.secret, asked.environment)
        except ConfigError as error:
            raise _unreadable(asked, str(error)) from None
        offered = known.said.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        way = "client_secret_basic" if "client_secret_basic" in offered else "client_secret_post"
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": asked.back}
        body = str(httpx.QueryParams({**form, "client_id": settings.client, "code_verifier": begun.part("verifier")}))
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        place = _place(known.said, "token_endpoint")
        prepared = ClientAuth(settings.client, secret, way).prepare("POST", place, headers, body)
        return self._ask(asked, *prepared)

    def _claims(self, asked: Asked, known: _Known, begun: Begun, tokens: Json) -> Json:
        """What the id token says, if it is signed by the provider, for us, now, for this sign-in. Raises Unproven."""
        text = str(tokens.get("id_token", ""))
        token = _decoded(text, known.keys)
        if token is None:  # it may be signed with a key that is new
            token = _decoded(text, self._of(asked, since=_AGAIN).keys)
        if token is None:
            raise _unreadable(asked, "its id token is not signed with a key of its own")
        options = {name: {"essential": True, "value": value} for name, value in
                   (("iss", known.issuer), ("aud", asked.settings.client))}  # fmt: skip
        params = {"nonce": begun.part("nonce"), "client_id": asked.settings.client}
        if isinstance(tokens.get("access_token"), str):
            params["access_token"] = tokens["access_token"]
        claims = CodeIDToken(token.claims, token.header, options, params)
        try:
            claims.validate(int(asked.now.timestamp()), _LEEWAY)
        except JoseError as error:
            raise _unreadable(asked, f"its id token is not good: {error.error}") from None
        except (TypeError, ValueError):
            raise _unreadable(asked, "its id token is not good") from None
        return dict(claims)

    def _ask(self, asked: Asked, url: str, headers: Mapping[str, str] | None = None, body: str | None = None) -> Json:
        """One answer of the provider. Raises Unproven."""
        if not self._free.acquire(blocking=False):
            raise Unproven(f"Too many sign in with {_title(asked)} at once.", _LATER, 503)
        try:
            found = json.loads(_fetched(asked, url, headers, body))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            raise _silent(asked, type(error).__name__) from None
        except (ValueError, RecursionError):
            raise _unreadable(asked, "its answer cannot be read") from None
        finally:
            self._free.release()
        if not isinstance(found, dict):
            raise _unreadable(asked, "its answer cannot be read")
        return found


def _silent(asked: Asked, reason: str) -> Unproven:
    return Unproven(f"{_title(asked)} does not answer.", _LATER, 502, reason)


def _unreadable(asked: Asked, reason: str) -> Unproven:
    return Unproven(f"{_title(asked)} gave an answer that proves nothing.", _OFF, 502, reason)


def _title(asked: Asked) -> str:
    return f"The {asked.settings.title}"


def _fetched(asked: Asked, url: str, headers: Mapping[str, str] | None, body: str | None) -> bytes:
    """One answer as it came: from this address alone, in a bounded time, of a bounded size."""
    file = asked.environment.get("SSL_CERT_FILE", "")
    trust = ssl.create_default_context(cafile=file) if file and url.startswith("https:") else True
    ends, data = time.monotonic() + _WHOLE, b""
    with (
        httpx.Client(timeout=_WAIT, trust_env=False, verify=trust, follow_redirects=False) as client,
        client.stream("GET" if body is None else "POST", url, headers=headers, content=body) as answer,
    ):
        answer.raise_for_status()
        if answer.has_redirect_location:
            raise ValueError(url)
        for part in answer.iter_bytes():
            data += part
            if len(data) > _LARGEST:
                raise ValueError(url)
            if time.monotonic() > ends:
                raise TimeoutError(url)
    return data


def _place(said: Json, name: str) -> str:
    """An address that the provider names of itself, encrypted like itself. Raises Unproven."""
    place = said.get(name)
    with suppress(ValueError):
        parts = urlsplit(place if isinstance(place, str) else "")
        if parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and is_local(parts.hostname))):
            return str(place)
    raise Unproven("The company account is not set up as it should be.", _OFF, 502, f"it names no good {name}")


def _decoded(text: str, keys: Json) -> jwt.Token | None:
    """An id token whose signature is good."""
    try:
        return jwt.decode(text, KeySet.import_key_set(dict(keys)), algorithms=_SIGNED)  # type: ignore[arg-type]
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _address(asked: Asked, claims: Json) -> str:
    """The address that the provider has seen to be theirs. Raises Unproven."""
    address = claims.get("email")
    if not isinstance(address, str) or not address:
        raise _unreadable(asked, "its id token names no e-mail; let it give the scope email")
    if claims.get("email_verified") is not True:
        what = f"{_title(asked)} has not verified your address."
        raise Unproven(what, "Verify it there, or have a link sent to you.", 403)
    return address.strip().lower()
