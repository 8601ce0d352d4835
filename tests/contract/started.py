"""A container of the chart as its process starts: mounts laid out in a folder, variables set, settings read."""

import re
from pathlib import Path

from service.settings import Settings, load
from tests.contract.chart import Document, named

ETC = "/etc/regrant/"


def started(pod: Document, container: Document, documents: list[Document], root: Path) -> Settings:
    """The settings as the container's process reads them, its mounts being laid out below `root`."""
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for mount in container["volumeMounts"]:
        lay_out(volumes[mount["name"]], documents, root, root / mount["mountPath"].lstrip("/"))
    environ = {}
    for variable in container["env"]:
        environ[variable["name"]] = re.sub(r"(^|,)/", rf"\1{root}/", variable["value"])
    return load(environ)


def lay_out(volume: Document, documents: list[Document], root: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    if "configMap" in volume:
        for name, text in named(documents, "ConfigMap", volume["configMap"]["name"])["data"].items():
            (folder / name).write_text(text.replace(ETC, f"{root}{ETC}"))
    for source in volume.get("projected", {}).get("sources", []):
        for item in source["secret"]["items"]:
            (folder / item["path"]).parent.mkdir(parents=True, exist_ok=True)
            (folder / item["path"]).write_text(f"what {item['path']} holds")
