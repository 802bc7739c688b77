"""Tokens of a local issuer, over a real socket."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sammoe.access import Access, Role
from sammoe.access.issuer import Issuer
from sammoe.access.tokens import TokenRules, Tokens
from sammoe.errors import Forbidden, IdentityUnavailable, SettingsInvalid, Unauthorized
from sammoe.settings import Settings
from tests.issuer import AUDIENCE, TestIssuer, issuing


@pytest.fixture
def issuer() -> Iterator[TestIssuer]:
    with issuing() as issuer:
        yield issuer


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


@pytest.fixture
async def tokens(issuer: TestIssuer, clock: list[float]) -> AsyncIterator[Tokens]:
    known = Issuer.from_settings(settings(issuer))
    known._clock = lambda: clock[0]
    tokens = Tokens(known, TokenRules(AUDIENCE))
    yield tokens
    await known.close()


def settings(issuer: TestIssuer, **given: Any) -> Settings:
    told = {"oidc_issuer": issuer.url, "oidc_audience": AUDIENCE}
    return Settings.load(told | given)


@pytest.mark.parametrize("algorithm", ["RS256", "PS384", "ES256", "EdDSA"])
async def test_a_good_token_is_its_issuers_and_subjects(
    issuer: TestIssuer, tokens: Tokens, algorithm: str
) -> None:
    issuer.add("other", algorithm)
    projects = ["trial", "/other:reader", "NO PROJECT", "third:owner"]
    found = await tokens.identify(issuer.token("other", projects=projects))
    assert found.principal == f"{issuer.url}#ann"
    assert (found.role, found.via) == (Role.SEGMENTER, "token")
    assert found.projects == {"trial": Role.SEGMENTER, "other": Role.READER}


async def test_roles_and_projects_come_from_the_claims_that_are_set(issuer: TestIssuer) -> None:
    rules = TokenRules(AUDIENCE, roles="realm_access.roles", projects="groups", prefix="sammoe-")
    known = Issuer.from_settings(settings(issuer))
    tokens = Tokens(known, rules)
    roles = {"roles": ["offline_access", "sammoe-reader", "sammoe-admin", "segmenter"]}
    found = await tokens.identify(issuer.token(realm_access=roles, groups=["/a"], roles=None))
    assert (found.role, set(found.projects)) == (Role.ADMIN, {"a"})
    with pytest.raises(Forbidden):
        await tokens.identify(issuer.token(realm_access={"roles": ["segmenter"]}))
    await known.close()


@pytest.mark.fault("S20")
@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "other"},
        {"aud": None},
        {"iss": "https://other.example"},
        {"iss": None},
        {"sub": None},
        {"sub": ""},
        {"sub": "an\nn"},
        {"sub": 7},
        {"exp": None},
        {"exp": -3600.0},
        {"exp": "soon"},
        {"nbf": 3600.0},
        {"iat": 3600.0},
    ],
    ids=str,
)
async def test_a_token_that_says_something_else_is_refused(
    issuer: TestIssuer, tokens: Tokens, changes: dict[str, Any]
) -> None:
    # Seconds from now: names of tests are the same in every process.
    said: dict[str, Any] = {
        k: int(time.time() + v) if isinstance(v, float) else v for k, v in changes.items()
    }
    with pytest.raises(Unauthorized) as caught:
        await tokens.identify(issuer.token(**said))
    assert caught.value.detail == "The token is none that is taken here."


@pytest.mark.fault("F16", "S20")
async def test_the_clock_may_differ_a_little_and_no_more(
    issuer: TestIssuer, tokens: Tokens
) -> None:
    moment = int(time.time())
    await tokens.identify(issuer.token(exp=moment - 20))
    with pytest.raises(Unauthorized):
        await tokens.identify(issuer.token(exp=moment - 40))
    with pytest.raises(SettingsInvalid, match="oidc-leeway"):
        settings(issuer, oidc_leeway_seconds=3600)


UNSIGNED = b'{"alg":"none","kid":"one"}'
NUMBERED = b'{"alg":"RS256","kid":1}'


def text(part: bytes) -> str:
    """A token's part."""
    return jwt.utils.base64url_encode(part).decode()


def forged(issuer: TestIssuer) -> dict[str, str]:
    """Tokens of somebody who has no key of the issuer's."""
    claims = issuer.claims()
    mine = rsa.generate_private_key(65537, 2048)
    good = issuer.token()
    head, body, sign = good.split(".")
    secret = issuer.public()
    hmac_input = text(b'{"alg":"HS256","kid":"one","typ":"JWT"}')
    signer = jwt.get_algorithm_by_name("HS256")
    mac = signer.sign(f"{hmac_input}.{body}".encode(), secret)
    return {
        "no signature": f"{text(UNSIGNED)}.{body}.",
        "empty signature": f"{head}.{body}.",
        "own key": jwt.encode(claims, mine, algorithm="RS256", headers={"kid": "one"}),
        "own key in the header": jwt.encode(
            claims,
            mine,
            algorithm="RS256",
            headers={
                "kid": "mine",
                "jwk": jwt.get_algorithm_by_name("RS256").to_jwk(mine.public_key(), as_dict=True),
                "jku": f"{issuer.url}/evil",
                "x5u": f"{issuer.url}/evil",
            },
        ),
        "public key as secret": f"{hmac_input}.{body}.{text(mac)}",
        "path as name": issuer.token(headers={"kid": "../../../../dev/null"}),
        "query as name": issuer.token(headers={"kid": "one' OR '1'='1"}),
        "control character in name": issuer.token(headers={"kid": "one\n"}),
        "number as name": f"{text(NUMBERED)}.{body}.{sign}",
        "critical extension": issuer.token(headers={"kid": "one", "crit": ["b64"], "b64": True}),
        "other type": issuer.token(headers={"kid": "one", "typ": "logout+jwt"}),
        "changed body": f"{head}.{body[:-2]}AA.{sign}",
        "cut": good[:-4],
        "encrypted form": f"{good}.a.b",
        "no JSON": "e30.e30.e30",
        "too long": issuer.token(padding="x" * 20_000),
        "a secret among the keys": jwt.encode(
            claims, "s" * 32, algorithm="HS256", headers={"kid": "secret"}
        ),
    }


@pytest.mark.fault("S20", "S22")
async def test_no_forgery_is_taken_and_none_leads_anywhere(
    issuer: TestIssuer, tokens: Tokens
) -> None:
    issuer.extra.append({"kty": "oct", "kid": "secret", "k": "cw" * 21 + "c3M"})
    issuer.extra.append({"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"})
    for kind, token in forged(issuer).items():
        with pytest.raises(Unauthorized):
            await tokens.identify(token)
        assert set(issuer.hits) <= {"/.well-known/openid-configuration", "/keys"}, kind
    await tokens.identify(issuer.token())


async def test_keys_are_fetched_once_for_all_who_come_at_once(
    issuer: TestIssuer, tokens: Tokens
) -> None:
    issuer.delay = 0.2
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.01)
            beats += 1

    beating = asyncio.create_task(beat())
    await asyncio.gather(*(tokens.identify(issuer.token()) for _ in range(20)))
    beating.cancel()
    assert issuer.hits == ["/.well-known/openid-configuration", "/keys"]
    # Nothing stood still meanwhile.
    assert beats >= 5


async def test_a_request_that_goes_away_takes_no_fetch_with_it(
    issuer: TestIssuer, tokens: Tokens
) -> None:
    issuer.delay = 0.1
    first = asyncio.create_task(tokens.identify(issuer.token()))
    second = asyncio.create_task(tokens.identify(issuer.token()))
    await asyncio.sleep(0.02)
    first.cancel()
    assert (await second).role is Role.SEGMENTER


async def test_a_new_key_is_fetched_and_made_up_names_do_not_reach_the_issuer(
    issuer: TestIssuer, tokens: Tokens, clock: list[float]
) -> None:
    await tokens.identify(issuer.token())
    before = len(issuer.hits)
    issuer.add("two")
    for _ in range(20):  # too early: one fetch in ten seconds, whatever comes
        with pytest.raises(Unauthorized):
            await tokens.identify(issuer.token("two"))
    assert len(issuer.hits) == before
    clock[0] += 11
    await tokens.identify(issuer.token("two"))
    assert len(issuer.hits) == before + 2
    for n in range(20):
        with pytest.raises(Unauthorized):
            await tokens.identify(issuer.token(headers={"kid": f"made-up-{n}"}))
    assert len(issuer.hits) == before + 2


async def test_a_key_that_was_withdrawn_opens_nothing_after_the_next_fetch(
    issuer: TestIssuer, tokens: Tokens, clock: list[float]
) -> None:
    token = issuer.token()
    await tokens.identify(token)
    del issuer.keys["one"]
    issuer.add("two")
    clock[0] += 301
    await tokens.identify(token)  # answered from what is known; the fetch goes on behind
    assert tokens.issuer._fetching is not None
    await tokens.issuer._fetching
    with pytest.raises(Unauthorized):
        await tokens.identify(token)


async def test_while_the_issuer_is_away_known_keys_go_on_for_a_bounded_time(
    issuer: TestIssuer, tokens: Tokens, clock: list[float]
) -> None:
    issuer.gone = True
    token = issuer.token()
    with pytest.raises(IdentityUnavailable):
        await tokens.identify(token)
    issuer.gone = False
    clock[0] += 11
    await tokens.identify(token)
    issuer.gone = True
    issuer.add("two")
    clock[0] += 3599
    await tokens.identify(token)
    assert tokens.issuer._fetching is not None
    await tokens.issuer._fetching
    # Whether there is such a key can not be known now: not the caller's fault.
    with pytest.raises(IdentityUnavailable):
        await tokens.identify(issuer.token("two"))
    clock[0] += 2
    with pytest.raises(IdentityUnavailable):
        await tokens.identify(token)


async def test_a_document_of_another_issuer_is_not_believed(
    issuer: TestIssuer, tokens: Tokens
) -> None:
    issuer.issuer_said = "https://other.example"
    with pytest.raises(IdentityUnavailable):
        await tokens.identify(issuer.token())


@pytest.mark.fault("S22")
@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "https://user:secret@issuer.example",
        "https://issuer.example/#x",
        "issuer.example",
        "https://",
    ],
)
@pytest.mark.parametrize("name", ["oidc_issuer", "oidc_jwks_url"])
def test_only_safe_places_are_asked_for_keys(name: str, url: str) -> None:
    with pytest.raises(SettingsInvalid, match="https://HOST") as caught:
        Settings.load({name: url})
    assert "secret" not in caught.value.detail


def test_an_issuer_needs_an_audience() -> None:
    with pytest.raises(SettingsInvalid, match="oidc-audience"):
        Access.from_settings(Settings.load({"oidc_issuer": "https://issuer.example"}))


async def test_a_token_is_taken_beside_keys(issuer: TestIssuer) -> None:
    access = Access.from_settings(settings(issuer, api_keys="bob:bob-has-a-longer-key"))
    async with access.running():
        ann = await access.identify({"authorization": f"Bearer {issuer.token()}"})
        bob = await access.identify({"x-api-key": "bob-has-a-longer-key"})
        assert (ann.principal, bob.principal) == (f"{issuer.url}#ann", "bob")
        with pytest.raises(Unauthorized):
            await access.identify({})
