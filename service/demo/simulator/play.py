"""A play: how the simulator acts as the provider of a description. Pure: what the description says, turned round.

Where the description says how an answer is read, the play makes an answer that reads so.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from schemas.reasons import Reason
from schemas.secret import Secret
from service.demo.simulator.addresses import Addresses
from service.demo.simulator.grants import Grant, GrantSettings, IssuedTokens, RevokeScope
from service.demo.simulator.seed import NOOR, OLIVIA, PASSWORD, SAM
from service.demo.simulator.world import Client, Role, World, WorldSettings
from service.oauth.description import Description, ProviderConfig, Rule

JSON: TypeAlias = Any  # Any: what JSON can hold

NEVER = timedelta(days=36_500)
_HOLE = re.compile(r"\{([a-z_]+)\}")
_STATUS = {"transient": 503, "dead_grant": 401, "needs_admin": 403, "account_problem": 403, "our_config": 401}


@dataclass(frozen=True, slots=True)
class Play:
    """One provider, in one environment."""

    description: Description
    environment: str = "production"

    # The world.

    def world_settings(self) -> WorldSettings:
        """Lifetimes, rotation and habits as they are described."""
        told, lifetimes = self.description, self.description.lifetimes
        grants = GrantSettings(
            access_token_life=lifetimes.access,
            refresh_token_life=lifetimes.refresh_idle or NEVER,
            hard_life=lifetimes.refresh_hard or NEVER,
            revoke_scope=RevokeScope(told.revoke_scope),
            max_live_grants=told.max_live_grants,
        )
        match told.rotation:
            case "none":
                grants.rotation_interval = NEVER
            case "single_use":
                grants.rotation_interval, grants.previous_token_life = timedelta(0), told.replay_grace
        title = told.words.title
        return WorldSettings(
            brand=title, product=title, grants=grants, standard_users_pass=not told.admin.enforced_by_provider
        )

    def seed(self, world: World) -> None:
        """The accounts of the description's examples, and the demo's people in them."""
        ours, others = self.description.identity.examples[:2]
        world.add_company(ours, "Drivewell Inc")
        world.add_company(others, "Acme Ltd")
        admin = Role.COMPANY_ADMIN
        world.add_user(OLIVIA, PASSWORD, "Olivia Marsh", [(ours, admin), (others, admin)], hint="Admin of both")
        world.add_user(SAM, PASSWORD, "Sam Okafor", [(ours, Role.STANDARD)], hint="No admin")
        world.add_user(NOOR, PASSWORD, "Noor Haddad", [(others, admin)], hint="Admin of the other one")
        world.grants.access_token_of = lambda grant: self.access_token(world, grant)

    # Addresses.

    def config(self, at: Addresses, client: Client) -> ProviderConfig:
        """How a client is set up that takes the simulator for the provider."""
        return ProviderConfig(
            self.description,
            client.client_id,
            Secret(client.client_secret),
            self.environment,
            hosts=self.hosts(at),
            allow_loopback_http=True,
        )

    def hosts(self, at: Addresses) -> dict[str, str]:
        """Which host of the simulator stands for which address of the provider, as the setting `hosts` wants it."""
        told, probe = self.description, self.description.admin.probe
        accounts = (told.authorization_endpoint, told.account_authorization_endpoint, told.jwks_uri)
        oauth = (told.token_endpoint, told.revocation_endpoint)
        api = (told.identity.proof_url, probe.url if probe else None)
        return {
            self._beginning(address): origin
            for addresses, origin in ((accounts, at.accounts), (oauth, at.oauth), (api, at.api))
            for address in addresses
            if address is not None
        }

    def _beginning(self, address: str) -> str:
        """Host and path up to where something is filled in; `*` for an account's own label."""
        parts = urlsplit(self._filled(address).replace("{account_host}", "*"))
        return f"{parts.netloc}{parts.path}".partition("{")[0].rstrip("/")

    def path(self, address: str) -> str:
        """The path of an address as a route: what is filled in is a part of it; what comes twice has a number."""
        count = 0

        def part(hole: re.Match[str]) -> str:
            nonlocal count
            count += 1
            return f"{{{hole[1]}{count}:[^/]*}}"

        return _HOLE.sub(part, urlsplit(self._filled(address)).path) or "/"

    def _filled(self, text: str) -> str:
        names = self.description.environments[self.environment]
        return _HOLE.sub(lambda hole: names.get(hole[1], hole[0]), text)

    @property
    def authorization_paths(self) -> tuple[str, ...]:
        told = self.description
        addresses = (told.authorization_endpoint, told.account_authorization_endpoint)
        return tuple(dict.fromkeys(self.path(address) for address in addresses if address is not None))

    @property
    def jwks_path(self) -> str | None:
        return self.path(self.description.jwks_uri) if self.description.jwks_uri else None

    @property
    def request_id_header(self) -> str:
        return self.description.support.request_id_header or "X-Request-Id"

    # The authorization endpoint.

    @property
    def scopes(self) -> frozenset[str]:
        """All that may be asked for: what the description names, and what its probe needs on top."""
        probe = self.description.admin.probe
        return frozenset((*self.description.scopes, *((probe.scope,) if probe and probe.scope else ())))

    @property
    def separator(self) -> str:
        return self.description.scope_separator

    def missing_parameter(self, asked: Mapping[str, str]) -> str | None:
        wanted = self.description.authorization_parameters
        return next((name for name, value in wanted.items() if asked.get(name) != value), None)

    def redirect(self, at: Addresses, world: World, answer: dict[str, str], account: str | None) -> dict[str, str]:
        """The redirect's parameters: with the claimed account, the issuer and a signature, where there are such."""
        told = dict(answer)
        name = self.description.identity.callback_parameter
        if account is not None and name is not None:
            told[name] = account
        if self.description.authorization_response_iss_parameter_supported:
            told["iss"] = self.issuer(at, world.client, {})
        return self._signed(world, told)

    def _signed(self, world: World, answer: dict[str, str]) -> dict[str, str]:
        name = self.description.identity.callback_hmac
        if name is None:
            return answer
        message = "&".join(f"{key}={answer[key]}" for key in sorted(answer))
        digest = hmac.new(world.client.client_secret.encode(), message.encode(), hashlib.sha256).hexdigest()
        return {**answer, name: digest}

    # Tokens.

    def token_answer(self, tokens: IssuedTokens, headers: Mapping[str, str]) -> dict[str, JSON]:
        told, lifetimes = self.description, self.description.lifetimes
        answer: dict[str, JSON] = {
            "token_type": "bearer",
            "access_token": tokens.access_token,
            "expires_in": int(tokens.expires_in.total_seconds()),
            "scope": told.scope_separator.join(sorted(tokens.grant.scopes)),
        }
        if tokens.code is not None or told.rotation != "none":
            answer["refresh_token"] = tokens.refresh_token
        if lifetimes.refresh_idle_field is not None:
            answer[lifetimes.refresh_idle_field] = int(tokens.refresh_expires_in.total_seconds())
        asked = all(headers.get(name) == value for name, value in told.token_headers.items())
        if lifetimes.refresh_hard_field is not None and asked:
            answer[lifetimes.refresh_hard_field] = int(tokens.refresh_hard_expires_in.total_seconds())
        if tokens.code is not None:
            answer |= {name: _value(self._filled(value)) for name, value in told.token_answer.items()}
        return answer

    def access_token(self, world: World, grant: Grant) -> str:
        """A JWT with the described claims; nobody but the provider checks its signature."""
        claims: dict[str, list[str]] = {}
        known = {"account": grant.realm, "role": self.role(world, grant), "event": f"consent-{grant.id}"}
        for name, place in self.description.identity.access_token_claims.items():
            parts = claims.setdefault(place.claim, [])
            parts += ["simulated"] * (place.part + 1 - len(parts))
            parts[place.part] = str(known.get(name, "simulated"))
        separators = {p.claim: p.separator or "" for p in self.description.identity.access_token_claims.values()}
        payload = {name: separators[name].join(parts) for name, parts in claims.items()}
        return ".".join((_encoded({"alg": "RS256", "typ": "at+jwt"}), _encoded(payload), world.grants.mint()))

    def id_token_claims(self, grant: Grant) -> dict[str, str]:
        return dict.fromkeys(self.description.identity.id_token_claims, grant.realm)

    def issuer(self, at: Addresses, client: Client, claims: Mapping[str, str]) -> str:
        return self.config(at, client).address(self.description.issuer or "", **claims)

    # The API.

    def accounts_of(self, world: World, grant: Grant) -> list[str]:
        """What the grant is good for: the chosen account, and what the consent added beside it."""
        beside = world.settings.ticked_beside if self.description.identity.match == "member_of" else ()
        return [grant.realm, *(realm for realm in beside if realm != grant.realm)]

    def proof(self, world: World, grant: Grant) -> JSON:
        """The answer that names the account: what the identity's paths read."""
        identity = self.description.identity
        person = None if identity.person_path is None else _put(None, identity.person_path, grant.sub)
        told = [self._account(world, realm) for realm in self.accounts_of(world, grant)]
        if identity.list_path is not None:
            return _put(person, identity.list_path, told)
        return _merged(person, told[0])

    def _account(self, world: World, realm: str) -> JSON:
        identity = self.description.identity
        answer = _put(None, identity.id_path, realm) if identity.id_path is not None else None
        if identity.name_paths:
            answer = _put(answer, identity.name_paths[0], world.companies[realm].name)
        return answer

    def role(self, world: World, grant: Grant) -> JSON:
        """The role of the person who granted, in the provider's words."""
        probe, user = self.description.admin.probe, world.user_by_sub(grant.sub)
        if probe is None:
            return "simulated"
        member = user.memberships.get(grant.realm) if user else None
        is_admin = member is not None and member.active and member.role.is_admin
        return _value(probe.admins[0]) if is_admin else _value("false" if "true" in probe.admins else "NONE")

    def probe(self, world: World, grant: Grant) -> tuple[JSON, int]:
        """The answer to the probe, with its status: some providers let only admins ask."""
        probe, role = self.description.admin.probe, self.role(world, grant)
        assert probe is not None and probe.path is not None, "only a described probe has a route"
        if probe.no_admin_status and _text(role) not in probe.admins:
            return {"error": {"message": "not authorized"}}, probe.no_admin_status[0]
        return _put(None, probe.path, role), 200

    # Refusals.

    def refusal(self, at: Literal["api", "token"], *reasons: Reason) -> tuple[int, JSON]:
        """Status and body by which the description's rules know the first of these reasons that they have."""
        for reason in reasons:
            rule = next((r for r in self.description.errors if r.at == at and r.reason is reason), None)
            if rule is not None:
                status = rule.status[0] if rule.status else 400 if at == "token" else _STATUS[rule.verdict]
                return status, self._body(rule)
        return (400, {"error": "invalid_grant"}) if at == "token" else (401, {})

    def unwell(self) -> JSON:
        """The body of an answer that only asks for patience."""
        return {"error": "temporarily_unavailable"}

    def _body(self, rule: Rule) -> JSON:
        body: JSON = {"error": rule.error[0]} if rule.error else None
        if rule.code:
            paths: Sequence[str] = self.description.error_code_paths
            flat = [path for path in paths if "." not in path]
            deep = [path for path in paths if "." in path]
            path = next(iter((*flat, *deep) if rule.at == "token" else (*deep, *flat)))
            body = _put(body, path, rule.code[0])
        return {} if body is None else body


def _put(there: JSON, path: str, value: JSON) -> JSON:
    """`there` with a value at a dotted path, so that it is read back from there."""
    return _put_at(there, [part for part in path.removeprefix("$").split(".") if part], value)


def _put_at(there: JSON, parts: Sequence[str], value: JSON) -> JSON:
    if not parts:
        return value
    head, rest = parts[0], parts[1:]
    if head == "*":
        return [_put_at(there[0] if isinstance(there, list) and there else None, rest, value)]
    base = dict(there) if isinstance(there, dict) else {}
    base[head] = _put_at(base.get(head), rest, value)
    return base


def _merged(under: JSON, over: JSON) -> JSON:
    return {**under, **over} if isinstance(under, dict) and isinstance(over, dict) else over


def _value(text: str) -> JSON:
    """A flag is one in JSON."""
    return {"true": True, "false": False}.get(text, text)


def _text(value: JSON) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _encoded(part: JSON) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
