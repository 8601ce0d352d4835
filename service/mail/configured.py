"""From the settings to the endpoint."""

import ssl

from schemas.ids import TenantId
from service.mail.endpoint import MailEndpoint
from service.mail.message import Sender
from service.mail.server import Server
from service.oauth.description import Providers
from service.settings.model import Mail
from service.store.pool import Pool


def configured_mail(mail: Mail, host_name: str, providers: Providers, pool: Pool) -> MailEndpoint | None:
    """The endpoint; `None` where no server is named."""
    if mail.host is None or mail.sender is None:
        return None
    sender = Sender(mail.sender, host_name, mail.reply_to)
    login = (mail.username, mail.password) if mail.username is not None and mail.password is not None else None
    tls = ssl.create_default_context(cafile=mail.ca_file)
    server = Server(mail.host, mail.port, mail.security, tls, login, sender.domain)
    return MailEndpoint(pool, server, sender, providers, frozenset(map(TenantId, mail.tenants)))
