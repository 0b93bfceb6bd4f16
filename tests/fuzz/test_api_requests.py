"""Whatever is asked of the API: an answer of the contract, never a failure of the server."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from yarl import URL

from gb28181.api.app import ROUTES
from gb28181.api.routing import PREFIX, Route
from tests.api.api_world import C1, D1, World
from tests.fuzz.hostile import TIMES, deep, json_values, parts, words

#: One world serves all examples: what one request leaves behind must not hurt the next.
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

KNOWN = {"device_id": str(D1), "channel_id": str(C1), "username": "viewer", "job_id": "j1"}


@st.composite
def requests(draw: st.DrawFn) -> tuple[Route, str, bytes | None, str]:
    """Endpoint, address, body and who asks: near enough to what is right that it gets past the first check."""
    endpoint = draw(st.sampled_from(ROUTES))
    path = PREFIX + re.sub(r"\{(\w+)\}", lambda name: draw(st.one_of(st.just(KNOWN.get(name[1], "x")), parts)), endpoint.path)
    query = draw(_fields(endpoint.query)) if endpoint.query else draw(st.dictionaries(words, words, max_size=2))
    if query:
        path += "?" + urlencode([(name, str(value)) for name, value in query.items()], errors="surrogatepass")
    body = None
    if endpoint.request is not None or draw(st.booleans()):
        body = draw(
            st.one_of(
                _fields(endpoint.request).map(lambda value: json.dumps(value).encode()),
                json_values.map(lambda value: json.dumps(value).encode()),
                st.binary(max_size=60),
                st.sampled_from([deep(3000), b'{"a":' * 2000, b"\xff\xfe", b"\x00", b'{"username": "\\ud800"}']),
            )
        )
    return endpoint, path, body, draw(st.sampled_from(["admin", "operator", "viewer", ""]))


def _fields(model: type[BaseModel] | None) -> st.SearchStrategy[dict[str, Any]]:
    names = list(model.model_fields) if model is not None else ["x"]
    return st.dictionaries(st.sampled_from(names), words | json_values, max_size=len(names))


@FUZZ
@given(asked=requests())
async def test_any_request_is_answered_as_the_contract_says(world: World, asked: tuple[Route, str, bytes | None, str]):
    endpoint, path, body, user = asked
    headers = {"Authorization": f"Bearer {world.tokens[user]}"} if user else {}
    async with world.client.request(
        endpoint.method, URL(path, encoded=True), data=body, headers=headers, allow_redirects=False
    ) as response:
        said = await response.read()
        assert response.status != 500, said
        if response.status == 204:
            assert said == b""
            return
        if response.status == 307:
            assert response.headers["Location"].startswith("/media/")
            assert response.headers["Cache-Control"] == "no-store"
            return
        if endpoint.produces and response.status == endpoint.status:
            assert response.content_type == endpoint.produces
            assert response.headers["Content-Disposition"].startswith("attachment")
            assert response.headers["Cache-Control"] == "no-store"
            return
        answer = json.loads(said)
        if response.status >= 400:
            assert set(answer) == {"error"}
            assert answer["error"]["code"]
            assert answer["error"]["message"]
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("first", TIMES)
async def test_any_two_times_are_a_range_or_refused(world: World, first: str):
    """A date has an end, and arithmetic beyond it fails: every pair near it must be thought of."""
    path = f"/api/v1/devices/{D1}/channels/{C1}"
    headers = {"Authorization": f"Bearer {world.tokens['admin']}"}
    for second in TIMES:
        for method, place in (("GET", "recordings"), ("GET", "recordings/export"), ("POST", "playback")):
            told = {"start": first, "end": second}
            for given_ in (told, {"start": first}, {"end": first}):
                more = {"params": given_} if method == "GET" else {"json": given_}
                async with world.client.request(
                    method, f"{path}/{place}", headers=headers, allow_redirects=False, **more
                ) as response:
                    assert response.status in (200, 307, 400, 404, 429), (place, given_)


@FUZZ
@given(
    header=st.one_of(
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60),
        st.binary(max_size=40).map(lambda raw: f"Bearer {raw.hex()}"),
        st.tuples(st.sampled_from(["e30", "eyJhbGciOiJub25lIn0", "eyJhbGciOiJIUzI1NiJ9"]), words).map(
            lambda pair: f"Bearer {pair[0]}.{pair[1].encode('ascii', 'ignore').decode()}."
        ),
    ).filter(lambda text: text.isprintable())
)
async def test_no_made_up_login_opens_anything(world: World, header: str):
    async with world.client.get("/api/v1/devices", headers={"Authorization": header}) as response:
        assert response.status in (401, 429), header


@pytest.mark.parametrize("claims", [{}, {"sub": "admin"}, {"sub": 1, "exp": 9e9}, {"sub": ["admin"], "exp": "x", "fp": None}])
async def test_a_token_of_ours_with_odd_claims_is_401(world: World, claims: dict[str, Any]):
    from joserfc import jwt
    from joserfc.jwk import OctKey

    from gb28181.tokens import derive

    token = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(derive(b"s" * 32, "api")))
    async with world.client.get("/api/v1/devices", headers={"Authorization": f"Bearer {token}"}) as response:
        assert response.status == 401
