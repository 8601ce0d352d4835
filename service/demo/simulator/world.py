"""The simulated world: companies, people with roles in them, the registered app, and who may read what.

Pure: no I/O, the clock and the source of random text come in.
"""

from __future__ import annotations

import hmac
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from service.demo.simulator import intuit_errors
from service.demo.simulator.clock import Clock
from service.demo.simulator.grants import Grant, Grants, GrantSettings, GrantState, IssuedTokens, Mint

ACCOUNTING = "com.intuit.quickbooks.accounting"
PAYMENT = "com.intuit.quickbooks.payment"
ROLES_READ = "com.intuit.identity.user.roles.read"
SCOPES = frozenset({ACCOUNTING, PAYMENT, ROLES_READ, "openid", "profile", "email", "phone", "address"})


class Role(StrEnum):
    MASTER_ADMIN = "master_admin"
    COMPANY_ADMIN = "company_admin"
    STANDARD = "standard"

    @property
    def is_admin(self) -> bool:
        return self is not Role.STANDARD


class CompanyStatus(StrEnum):
    ACTIVE = "active"
    ENDED = "ended"  # trial or subscription over: fault 6190


@dataclass(slots=True)
class Invoice:
    id: int
    doc_number: str
    customer: str
    total: Decimal
    updated_at: datetime


@dataclass(slots=True)
class Company:
    realm: str
    name: str
    legal_name: str
    status: CompanyStatus = CompanyStatus.ACTIVE
    payments: bool = True  # the scope decides which companies the selector lists
    invoices: list[Invoice] = field(default_factory=list, repr=False)

    def add_invoice(self, customer: str, total: Decimal, updated_at: datetime) -> Invoice:
        number = len(self.invoices) + 1
        invoice = Invoice(number, f"{1000 + number}", customer, total, updated_at)
        self.invoices.append(invoice)
        return invoice


@dataclass(slots=True)
class Membership:
    role: Role
    active: bool = True


@dataclass(slots=True)
class User:
    sub: str
    email: str
    name: str
    password: str = field(repr=False)
    memberships: dict[str, Membership] = field(default_factory=dict)
    hint: str = ""  # one line beside the password on the login page of the demo


@dataclass(slots=True)
class Client:
    """The app as registered at the provider. Redirect addresses match exactly, as Intuit demands."""

    client_id: str = "ABsimulatedRegrantApp"
    client_secret: str = field(default="simulated-client-secret", repr=False)
    name: str = "Drivewell Data"
    redirect_uris: set[str] = field(default_factory=set)

    def authenticates(self, client_id: str, client_secret: str) -> bool:
        return hmac.compare_digest(client_id, self.client_id) and hmac.compare_digest(
            client_secret.encode(), self.client_secret.encode()
        )


@dataclass(slots=True)
class WorldSettings:
    """Switches for what Intuit sometimes does."""

    standard_users_pass: bool = False  # let a standard user through, for the role probe to catch
    faults_with_http_200: bool = False  # service faults come with 200, as some do
    realm_claim_name: str = "realmid"  # so in discovery; "realmId" in Intuit's guides
    show_hints: bool = True
    brand: str = "Intuit"  # on the pages
    product: str = "QuickBooks"  # what is connected
    ticked_beside: tuple[str, ...] = ()  # companies that a consent adds beside the one that was chosen
    grants: GrantSettings = field(default_factory=GrantSettings)


class World:
    """Everything that Intuit knows."""

    def __init__(
        self,
        *,
        clock: Clock,
        client: Client | None = None,
        settings: WorldSettings | None = None,
        mint: Mint = lambda: secrets.token_urlsafe(48),
    ) -> None:
        self.clock = clock
        self.client = client or Client()
        self.settings = settings or WorldSettings()
        self.grants = Grants(clock, mint, self.settings.grants)
        self.companies: dict[str, Company] = {}
        self.users: dict[str, User] = {}

    def add_company(self, realm: str, name: str, legal_name: str = "") -> Company:
        """ValueError if the realm is taken."""
        if realm in self.companies:
            raise ValueError(f"company {realm} exists")
        company = Company(realm, name, legal_name or name)
        self.companies[realm] = company
        return company

    def add_user(
        self, email: str, password: str, name: str, companies: Iterable[tuple[str, Role]] = (), hint: str = ""
    ) -> User:
        """ValueError if the address is taken, KeyError if a company doesn't exist."""
        key = email.strip().lower()
        if key in self.users:
            raise ValueError(f"user {email} exists")
        memberships = {self.companies[realm].realm: Membership(role) for realm, role in companies}
        # Made from the address, so that a world built again has the same people.
        sub = str(uuid.uuid5(uuid.NAMESPACE_URL, f"mailto:{key}"))
        self.users[key] = User(sub, key, name, password, memberships, hint)
        return self.users[key]

    def set_role(self, email: str, realm: str, role: Role, *, active: bool = True) -> None:
        """KeyError for somebody or something unknown."""
        self.users[email.lower()].memberships[self.companies[realm].realm] = Membership(role, active)

    def remove_user(self, email: str) -> None:
        """The person is gone; what they granted answers fault 120 from now on. KeyError if unknown."""
        del self.users[email.lower()]

    def user_by_email(self, email: str) -> User | None:
        return self.users.get(email.strip().lower())

    def user_by_sub(self, sub: str) -> User | None:
        return next((user for user in self.users.values() if user.sub == sub), None)

    def sign_in(self, email: str, password: str) -> User | None:
        """The person with this address and password. Unknown people and wrong passwords look alike."""
        user = self.user_by_email(email)
        known = user.password if user else ""
        fits = hmac.compare_digest(known.encode(), password.encode())
        return user if fits and known else None

    def companies_for(self, user: User, scopes: frozenset[str]) -> list[Company]:
        """What the selector lists: the person's companies that have what the scope asks for."""
        mine = (self.companies[realm] for realm, member in user.memberships.items() if member.active)
        return sorted(
            (company for company in mine if company.payments or PAYMENT not in scopes),
            key=lambda company: company.name,
        )

    def may_authorise(self, user: User, realm: str) -> bool:
        """Only the master administrator and company administrators can connect an app."""
        member = user.memberships.get(realm)
        if member is None or not member.active:
            return False
        return member.role.is_admin or self.settings.standard_users_pass

    def grant_without_pages(self, email: str, realm: str, scopes: frozenset[str]) -> IssuedTokens:
        """A grant as if the person had walked through the pages. KeyError for somebody or something unknown."""
        user, company = self.users[email.lower()], self.companies[realm]
        uri = "about:no-pages"
        code = self.grants.issue_code(realm=company.realm, sub=user.sub, scopes=scopes, redirect_uri=uri)
        return self.grants.redeem(code, redirect_uri=uri, code_verifier=None)

    def grant_for_bearer(self, token: str) -> Grant:
        """The live grant of an access token. ApiFault 3200 or 3100 else."""
        found = self.grants.grant_for_access_token(token)
        if found is None:
            raise intuit_errors.token_malformed()
        grant, alive = found
        if grant.state is GrantState.DISCONNECTED and alive:
            raise intuit_errors.not_authorised_for_company()
        if not alive or grant.state is not GrantState.LIVE:
            raise intuit_errors.token_expired(token)
        return grant

    def company_for_bearer(self, token: str, realm: str) -> Company:
        """The company that a token may read. ApiFault 3200, 3100, 120 or 6190, in the order Intuit checks."""
        grant = self.grant_for_bearer(token)
        company = self.companies.get(realm)
        if company is None or grant.realm != realm:
            raise intuit_errors.not_authorised_for_company()
        if ACCOUNTING not in grant.scopes:
            raise intuit_errors.scope_missing()
        user = self.user_by_sub(grant.sub)
        if user is None or not self.may_authorise(user, realm):
            raise intuit_errors.granting_user_lost_access()
        if company.status is CompanyStatus.ENDED:
            raise intuit_errors.subscription_ended()
        return company

    def membership_for_bearer(self, token: str, realm: str) -> Membership | None:
        """The granting person's place in a company; None if it isn't the grant's. ApiFault as above."""
        grant = self.grant_for_bearer(token)
        if ROLES_READ not in grant.scopes:
            raise intuit_errors.scope_missing()
        user = self.user_by_sub(grant.sub)
        if user is None or grant.realm != realm:
            return None
        return user.memberships.get(realm)
