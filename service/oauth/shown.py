"""An attempt as it is shown: to the person's window, and to the host."""

from schemas import api
from schemas.reasons import Reason
from schemas.records import Account
from service.oauth.description import ProviderConfig
from service.oauth.window import WindowView
from service.oauth.words import provider_words
from service.store.attempts import AttemptRow


def to_the_window(row: AttemptRow, config: ProviderConfig, *, by_the_host: bool) -> WindowView:
    """Everything that the window may show; no secret among it. `by_the_host` says whose completion it waits for."""
    return WindowView(
        attempt=row.attempt,
        connector_name=row.connector_name,
        tenant=row.tenant,
        provider=provider_words(config.description),
        account=row.account,
        person_name=row.person_name,
        return_url=row.return_url,
        step=row.step,
        state=row.state,
        failure=row.failure,
        live=row.live,
        succeeded=row.reason is Reason.CONNECTED,
        ending=row.reason if row.reason is not Reason.CONNECTED else None,
        expected=row.expected,
        seen=row.seen,
        unavailable=row.unavailable,
        returned_at=row.exchange_begun_at,
        expires_at=row.expires_at,
        help_asked=row.help_asked,
        replaced=row.replaced,
        handed_on=row.handed_on,
        taken_off=row.taken_off,
        repaired=row.repaired,
        may_hand_on=row.account is not None and not by_the_host,
    )


def to_the_host(row: AttemptRow, *, by_the_host: bool) -> api.Attempt:
    """The attempt as the API answers it; `by_the_host` says whose completion it waits for."""
    return api.Attempt(
        attempt_id=row.attempt,
        connector_id=row.connector,
        status="ended" if row.ended_at else "open",
        step=row.step,
        completion="host" if by_the_host else "browser",
        opened_at=row.opened_at,
        expires_at=row.expires_at,
        reason=row.reason,
        expected_account=Account(id=row.expected.id, name=row.expected.name) if row.expected else None,
        seen_account=Account(id=row.seen.id, name=row.seen.name) if row.seen else None,
    )
