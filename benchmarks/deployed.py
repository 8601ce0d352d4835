"""The whole service as the demo runs it, on the benchmarks' servers: for what people and hosts wait for."""

from benchmarks.servers import Servers, execute
from service.demo.deployment import Deployment
from service.demo.embedded.child import free_port
from service.demo.simulator import Simulator


async def deployed(servers: Servers, name: str, simulator: Simulator) -> Deployment:
    """A deployment with a database and topics of its own, both of that name; it isn't started yet."""
    await execute(servers.admin_dsn, f"create database {name}")
    deployment = Deployment(
        servers.supervisor,
        name,
        port=free_port(),
        host_url=f"http://127.0.0.1:{free_port()}",
        simulator=simulator,
        bootstrap=servers.bootstrap,
        dsn=servers.dsn(name),
        topic_prefix=f"{name}.",
    )
    deployment.make_keys()
    await deployment.migrate()
    return deployment
