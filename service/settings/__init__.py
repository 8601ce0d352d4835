"""Settings: one model, read from the environment and a file; its names and its page in the docs are made from it.

Knows the lifecycle's rules, which a deployment may set; must not know any room that uses a setting.
"""

from service.settings.load import SettingsError, load
from service.settings.model import Settings

__all__ = ["Settings", "SettingsError", "load"]
