"""The temperaments: how differently people go the same way. Each ends at the screen that its person is left with."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from schemas.lifecycle import Step
from schemas.reasons import Reason
from service.demo.people.visitor import Visitor
from service.demo.person import Screen

Temperament: TypeAlias = Callable[[Visitor], Awaitable[Screen]]

FOREIGN_COMPANY = "Acme Ltd"
"""A company that everybody here is an admin of beside their own, and that no connector of theirs belongs to."""


async def quick(v: Visitor) -> Screen:
    """Straight through."""
    return await v.reconnects(await v.asks_for_a_link())


async def lost(v: Visitor) -> Screen:
    """Looks at the link again and again, goes to the provider, comes back by the address bar, goes on."""
    link = await v.asks_for_a_link()
    for _ in range(2):
        await v.looks(link)
    await v.goes_to_the_provider(await v.looks(link))
    waiting = await v.looks(link)  # the spent link leads its own browser back to where it was
    return await v.comes_back(await v.signs_in(await v.goes_to_the_provider(waiting)))


async def double_clicks(v: Visitor) -> Screen:
    """Presses every button twice, and reloads what comes back."""
    start = await v.looks(await v.asks_for_a_link())
    ways = await asyncio.gather(*(v.person.click(start) for _ in range(2)))
    [authorize] = [way for way in ways if not isinstance(way, Screen)][:1]
    v.came_to(Step.PROVIDER_PAGE)
    callback = await v.signs_in(authorize)
    await asyncio.gather(v.person.look(callback), v.person.look(callback))
    return await v.comes_back(callback)


async def wrong_company(v: Visitor) -> Screen:
    """Picks another company, is told both names, and picks the right one."""
    authorize = await v.goes_to_the_provider(await v.looks(await v.asks_for_a_link()))
    refused = await v.comes_back(await v.signs_in(authorize, FOREIGN_COMPANY))
    v.tries.append(Step.LINK_OFFERED)
    return await v.comes_back(await v.signs_in(await v.goes_to_the_provider(refused)))


async def wrong_company_and_gone(v: Visitor) -> Screen:
    """Picks another company, reads why that can't be, and leaves it there."""
    authorize = await v.goes_to_the_provider(await v.looks(await v.asks_for_a_link()))
    return await v.comes_back(await v.signs_in(authorize, FOREIGN_COMPANY))


async def declines(v: Visitor) -> Screen:
    """Presses *No thanks* at the provider."""
    authorize = await v.goes_to_the_provider(await v.looks(await v.asks_for_a_link()))
    return await v.comes_back(await v.signs_in(authorize, consent=False))


async def closes_the_window(v: Visitor) -> Screen:
    """Goes to the provider and closes the window there; a day later the old address still says what to do."""
    link = await v.asks_for_a_link()
    await v.goes_to_the_provider(await v.looks(link))
    waiting = await v.looks(link)
    await v.a_day_passes()
    return await v.looks(waiting.url)


async def comes_back_tomorrow(v: Visitor) -> Screen:
    """Leaves the link for a day; it is dead then, says so, and a new one works."""
    link = await v.asks_for_a_link()
    await v.looks(link)
    await v.a_day_passes()
    await v.looks(link)
    return await v.reconnects(await v.asks_for_a_link())


async def on_another_device(v: Visitor) -> Screen:
    """Finishes the sign-in in another browser than it was begun in, is refused, and goes on in the first one."""
    link = await v.asks_for_a_link()
    authorize = await v.goes_to_the_provider(await v.looks(link))
    async with v.at_a_browser() as phone:
        elsewhere = await phone.sign_in(authorize, company=v.company)
        await v.looks(elsewhere)
    waiting = await v.looks(link)
    return await v.comes_back(await v.signs_in(await v.goes_to_the_provider(waiting)))


async def starts_again(v: Visitor) -> Screen:
    """Asks for a second link while the first is open; the first leads nowhere, the second to the end."""
    first = await v.asks_for_a_link()
    await v.looks(first)
    second = await v.asks_for_a_link()
    await v.looks(first)
    return await v.reconnects(second)


async def not_an_admin(v: Visitor) -> Screen:
    """Is refused by the provider, says so in the window, and reads whom to ask."""
    link = await v.asks_for_a_link()
    async with v.at_a_browser(v.assistant):
        await v.is_refused_by_the_provider(await v.goes_to_the_provider(await v.looks(link)))
        return await v.says_what_was_shown(link, Reason.NEEDS_ADMIN)


async def hands_it_on(v: Visitor) -> Screen:
    """Is refused by the provider, says so, and hands the sign-in to the admin, who finishes it in a browser apart."""
    link = await v.asks_for_a_link()
    async with v.at_a_browser(v.assistant):
        await v.is_refused_by_the_provider(await v.goes_to_the_provider(await v.looks(link)))
        refused = await v.says_what_was_shown(link, Reason.NEEDS_ADMIN)
        handed = await v.person.click(await v.looks(refused.url / "colleague"), name="Our admin")
        assert isinstance(handed, Screen), "the link is shown in the answer"
        v.sees(handed)
    v.tries.append(Step.LINK_OFFERED)  # the colleague's is an attempt of its own
    return await v.reconnects(handed.link)


async def remembers_it_late(v: Visitor) -> Screen:
    """Is refused by the provider, closes the window, and says why on the next day."""
    link = await v.asks_for_a_link()
    async with v.at_a_browser(v.assistant):
        await v.is_refused_by_the_provider(await v.goes_to_the_provider(await v.looks(link)))
        waiting = await v.looks(link)
        await v.a_day_passes()
        late = await v.looks(waiting.url)
        return await v.looks(await v.person.press(late, reason=Reason.NEEDS_ADMIN.value))


TEMPERAMENTS: dict[Temperament, int] = {
    quick: 8,
    lost: 2,
    double_clicks: 2,
    wrong_company: 2,
    wrong_company_and_gone: 1,
    declines: 1,
    closes_the_window: 1,
    comes_back_tomorrow: 1,
    on_another_device: 1,
    starts_again: 1,
    not_an_admin: 1,
    hands_it_on: 1,
    remembers_it_late: 1,
}
"""Each with its share of the people."""
