PLATFORMS: dict[str, dict[str, str]] = {}


async def run_stories(platforms, report): ...
