"""The table of all metrics. `docs/metrics.md` is made from it, and tests hold rules and dashboards against it.

A label's values are few, whatever the fleet grows to: words of ours, configured providers, routes. Ids and what a
stranger can choose never are. What is of the fleet is read from the database by whichever process is scraped
(`service/insight/figures.py`); the rest is counted where it happens.
"""

from schemas.dead_letters import DeadLetterCode
from service.telemetry.metric import TO_A_WEEK, counter, gauge, histogram

_PROVIDER = "a configured provider's id"
_STATE = "a state of the lifecycle"
_TOPIC = "an input topic, without its prefix"
_ENDPOINT = "an endpoint's name in the settings, or @mail"

# Of the fleet.

CONNECTORS = gauge("connectors", "Connectors by state.", {"state": _STATE, "provider": _PROVIDER}, of="fleet")
STATE_AGE = gauge(
    "state_age_seconds",
    "How long the connector has been in a state that has been in it for longest.",
    {"state": ("failed", "awaiting_auth", "verifying", "syncing")},
    of="fleet",
)
DEADLINES_OVERDUE = gauge(
    "deadlines_overdue", "Connectors whose deadline passed more than five seconds ago: nobody fires them.", of="fleet"
)
CREDENTIAL_EXPIRY = gauge(
    "credential_expiry",
    "Credentials in use whose known end is so near. A credential counts in each that it fits.",
    {"provider": _PROVIDER, "within": ("1d", "7d", "30d")},
    of="fleet",
)
RELAY_LAG = gauge(
    "relay_lag_seconds", "How long the oldest entry of the log waits to be published; 0 when none does.", of="fleet"
)
RELAY_BEHIND = gauge("relay_lag_entries", "Entries of the log that aren't published yet.", of="fleet")
DEAD_LETTERS_WAITING = gauge(
    "dead_letters_waiting", "Dead letters that nobody has replayed or dropped, 10,000 at most.", of="fleet"
)
JOBS_WAITING = gauge("jobs_waiting", "Jobs that are due and that nobody has taken, 10,000 at most.", of="fleet")
WEBHOOK_LAG = gauge(
    "webhook_lag_seconds",
    "How long the oldest event waits that an endpoint hasn't accepted; 0 when none does.",
    {"endpoint": _ENDPOINT},
    of="fleet",
)
WEBHOOK_BEHIND = gauge(
    "webhook_lag_entries",
    "Entries of the log that an endpoint's turn hasn't come for.",
    {"endpoint": _ENDPOINT},
    of="fleet",
)
WEBHOOK_WAITING = gauge(
    "webhook_connectors_waiting",
    "Connectors whose events wait for an endpoint, since an earlier one wasn't accepted.",
    {"endpoint": _ENDPOINT},
    of="fleet",
)
DATABASE_UP = gauge("database_up", "Whether the database answered when the fleet's figures were read last.")
FLEET_AGE = gauge(
    "fleet_age_seconds", "How long ago the fleet's figures were read. While the database is away the last ones stay."
)

# The lifecycle.

TRANSITIONS = counter(
    "transitions_total",
    "Transitions that this process stored.",
    {"from": _STATE, "to": _STATE, "trigger": "a trigger of the lifecycle", "provider": _PROVIDER},
)
REAUTH_DURATION = histogram(
    "reauth_duration_seconds",
    "How long re-authorisations took that ended with data flowing: in all, and by who took the time.",
    {"provider": _PROVIDER, "part": "whole, owner, regrant, provider or host"},
    buckets=TO_A_WEEK,
)
REAUTH_STEP = counter(
    "reauth_step_total",
    "Attempts that ended, by the furthest step that they reached. Counted by who counts the log, within seconds.",
    {
        "step": "a step of a re-authorisation",
        "outcome": "connected, stopped or replaced",
        "code": "the reason where it stopped, else empty",
    },
)
CALLBACKS = counter(
    "callbacks_total",
    "Browsers that came back from a provider, by what they were answered.",
    {"outcome": ("returned", "unknown", "refused", "too_many", "unavailable", "fault")},
)

# Providers.

TOKEN_REQUESTS = counter(
    "token_requests_total",
    "Requests to token endpoints.",
    {
        "provider": _PROVIDER,
        "grant": "authorization_code, refresh_token or revocation",
        "outcome": "granted, refused (by the grant's fault), rejected (by ours) or unavailable",
    },
)
PROVIDER_SECONDS = histogram(
    "provider_request_seconds",
    "How long providers took to answer.",
    {"provider": _PROVIDER, "at": "token or api", "status": "2xx to 5xx, or none"},
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
CIRCUIT_OPEN = gauge(
    "circuit_open",
    "Whether this process asks a provider for no refresh, since it doesn't answer.",
    {"provider": _PROVIDER},
)
SEALED_ROWS = counter(
    "sealed_row_failures_total",
    "Secrets that didn't open: a row isn't what was sealed, or no key is mounted that opens it.",
    {"found": ("broken", "no_key")},
)

# The engine and Kafka.

INPUTS = counter(
    "inputs_total", "Inputs that this process stored, with what they caused.", {"source": ("kafka", "callers")}
)
BATCH_INPUTS = histogram("batch_inputs", "Inputs of a batch.", buckets=(1, 2, 5, 10, 25, 50, 100, 200, 350, 500))
BATCH_SECONDS = histogram("batch_seconds", "How long a batch took from loading to the commit's answer.")
BATCH_RETRIES = counter(
    "batch_retries_total",
    "Batches that were tried again.",
    {"why": ("conflict", "fence", "lease", "database", "input")},
)
DEAD_LETTERS = counter(
    "dead_letters_total",
    "Inputs that can't be handled.",
    {"code": tuple(code.value for code in DeadLetterCode)},
)
CONSUMER_LAG = gauge(
    "consumer_lag",
    "Records of an input's partitions here that aren't stored yet. Add the processes up.",
    {"topic": _TOPIC},
)
CONSUMER_RESTARTS = counter(
    "consumer_restarts_total", "Consumers that were made anew.", {"why": ("broker", "database", "stalled")}
)
PUBLISHED = counter("published_total", "Entries of the log that this process published.")
RELAY_RESTARTS = counter("relay_restarts_total", "Relays that began anew.", {"why": ("broker", "database", "fenced")})

# Webhooks and e-mail.

WEBHOOKS = counter(
    "webhooks_total",
    "Events that were sent to an endpoint, or given up.",
    {"endpoint": _ENDPOINT, "outcome": "accepted, refused or given_up"},
)
MAILS = counter(
    "mails_total",
    "Messages to connectors' contacts: taken by the server; refused for good for their address; to be tried again; not"
    " sent, since nobody needed to be asked any more.",
    {"outcome": ("sent", "refused", "delayed", "dropped")},
)
ADAPTER_WEBHOOKS = counter(
    "adapter_webhooks_total",
    "Webhooks that senders proved to be theirs.",
    {"adapter": "a name of the settings", "outcome": "queued, ignored or unmapped"},
)

# The process.

JOBS_RUNNING = gauge("jobs_running", "Jobs that this process is carrying out.")
JOBS = counter(
    "jobs_total",
    "Jobs that this process ended, or left to be tried again.",
    {"kind": "what is done", "outcome": "done, lost (to another process), waits or broke"},
)
HTTP_SECONDS = histogram(
    "http_request_seconds",
    "How long requests took.",
    {"method": "a method of HTTP, or other", "route": "a route's pattern, or none", "status": "1xx to 5xx"},
    buckets=(0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
LOOP_LAG = histogram("event_loop_lag_seconds", "How much later than it was due something ran in this process.")
BUILD = gauge("build_info", "1, with what runs.", {"version": "regrant's version", "python": "Python's version"})
