"""The world of the demo: Drivewell Inc and its companies, an Organization Admin, a standard user, a stranger."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from service.demo.simulator.world import Company, Role, World

DRIVEWELL_INC = "9130357766590001"
DRIVEWELL_LEASING = "9130357766590002"
DRIVEWELL_CANADA = "9130357766590003"
ACME_LTD = "9130357766590777"

OLIVIA = "olivia@drivewell.example"
SAM = "sam@drivewell.example"
NOOR = "noor@acme.example"
PASSWORD = "demo"  # everybody's, written on the login page

_CUSTOMERS = ("Harbour Couriers", "Blue Fern Dental", "Otto's Garage", "Lakeside School", "Paper & Pine")


def seed(world: World) -> None:
    """Fill an empty world."""
    for realm, name, legal_name in (
        (DRIVEWELL_INC, "Drivewell Inc", "Drivewell Incorporated"),
        (DRIVEWELL_LEASING, "Drivewell Leasing LLC", "Drivewell Leasing, LLC"),
        (DRIVEWELL_CANADA, "Drivewell Canada ULC", "Drivewell Canada ULC"),
        (ACME_LTD, "Acme Ltd", "Acme Limited"),
    ):
        add_invoices(world, world.add_company(realm, name, legal_name))
    admin, standard = Role.COMPANY_ADMIN, Role.STANDARD
    world.add_user(
        OLIVIA,
        PASSWORD,
        "Olivia Marsh",
        [
            (DRIVEWELL_INC, Role.MASTER_ADMIN),
            (DRIVEWELL_LEASING, admin),
            (DRIVEWELL_CANADA, admin),
            (ACME_LTD, admin),
        ],
        hint="Organization Admin of four companies",
    )
    world.add_user(
        SAM,
        PASSWORD,
        "Sam Okafor",
        [(DRIVEWELL_INC, standard), (DRIVEWELL_LEASING, standard)],
        hint="standard user: Intuit will refuse",
    )
    world.add_user(
        NOOR,
        PASSWORD,
        "Noor Haddad",
        [(ACME_LTD, Role.MASTER_ADMIN)],
        hint="Admin of one company: no selector",
    )


def add_invoices(world: World, company: Company, count: int = 12) -> None:
    """`count` invoices over the last weeks, the same for the same company."""
    now = world.clock()
    for number in range(count):
        company.add_invoice(
            customer=_CUSTOMERS[(number + int(company.realm)) % len(_CUSTOMERS)],
            total=Decimal(12_000 + 1_735 * number) / 100,
            updated_at=now - timedelta(days=5 * (count - number)),
        )
