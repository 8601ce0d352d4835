"""From the settings to the endpoint."""

import ssl

from schemas.ids import TenantId
from service.couriers.endpoint import count_from_nothing
from service.mail.endpoint import MAIL, MailEndpoint
from service.mail.message import Sender
from service.mail.server import Server
from service.oauth.description import Providers
from service.settings.model import Mail
from service.store.pool import Pool


def configured_mail(mail: Mail, host_name: str, providers: Providers, pool: Pool) -> MailEndpoint | None:
    """The endpoint; `None` where no server is named."""
    server = configured_server(mail)
    if server is None or mail.sender is None:
        return None
    count_from_nothing(MAIL)
    sender = Sender(mail.sender, host_name, mail.reply_to)
    return MailEndpoint(pool, server, sender, providers, frozenset(map(TenantId, mail.tenants)))


def configured_server(mail: Mail) -> Server | None:
    """The server; `None` where none is named."""
    if mail.host is None or mail.sender is None:
        return None
    login = (mail.username, mail.password) if mail.username is not None and mail.password is not None else None
    tls = ssl.create_default_context(cafile=mail.ca_file)
    return Server(mail.host, mail.port, mail.security, tls, login, mail.sender.rpartition("@")[2])
