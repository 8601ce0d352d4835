"""Get help, through the whole service: the report of a real attempt, and the event by which its host gets it."""

from schemas import channels
from schemas.lifecycle import Notice, State
from tests.loop import eventually
from tests.markers import leaks
from tests.window import FORM, Running


async def test_p25_a_person_whose_company_was_wrong_sends_the_report_to_the_host(service: Running) -> None:
    id_ = await service.connected()
    attempt, browser, callback = await service.back(id_, company="Drivewell Leasing LLC")
    landed = await browser.get(callback)
    await service.loop.state(id_, State.SYNCING, State.FAILED, State.HEALTHY)
    page = f"/connect/attempts/{attempt}"
    assert landed.location == page

    async def refused() -> bool:
        return f'href="{page}/report"' in (text := (await browser.get(page)).text) and "That was another" in text

    await eventually(refused, "the wrong company is refused")
    report = await browser.get(f"{page}/report")
    for told in ("wrong_account", "Drivewell Leasing LLC (id ", "Drivewell Inc (id ", attempt, "<svg "):
        assert told in report.text
    row = await service.loop.pool.fetchrow(
        "select trace from transition where attempt_id = $1 and trigger = 'start_reauth'", attempt
    )
    assert row["trace"] and row["trace"].split('"correlationid":"')[1][:32] in report.text
    file = await browser.get(f"{page}/report/file")
    assert not leaks(report.text.encode()) and not leaks(file.text.encode())
    assert all(cookie not in report.text + file.text for cookie in browser.cookies.values())

    await service.loop.take_over()
    async with service.loop.topics.followed():
        shown = await browser.get(f"{page}/report")
        proof = FORM.search(shown.text)
        assert proof is not None
        for _ in range(2):  # a second click tells nobody anything
            given = {"Sec-Fetch-Site": "same-origin", "Origin": browser.origin}
            sent = await browser.ask("POST", f"{page}/report", given, {"csrf": proof[1]})
            assert (sent.status, sent.location) == (303, f"{page}/report")
        records = service.loop.topics.data

        def told() -> list[object]:
            return [r for r in records(channels.TRANSITIONS, id_) if r["trigger"] == "help_asked"]

        (event,) = await eventually(told, "the event is published")
    assert (event["attempt_id"], event["notice"], event["from"]) == (attempt, Notice.HELP_ASKED, event["to"])
    assert event["actor"] == {"kind": "person", "id": "u-olivia"}
    assert event["connector"]["attempt_reason"] == "wrong_account"
    stranger = await service.browser().get(f"{page}/report")
    assert stranger.status == 404
