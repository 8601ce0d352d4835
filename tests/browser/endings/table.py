"""The endings: what can happen to a person in the window, and what they see then (P13). `docs/endings.md` shows this.

`python -m tests.browser.endings.table` writes that page's table. Each ending's test holds the screen against its row.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = Path("docs/endings.md")
HERE = Path("tests/browser/endings")
BEGIN, END = "<!-- The table begins. -->", "<!-- The table ends. -->"
PEOPLE, LINKS, FAULTS = "test_p13_people.py", "test_p13_links.py", "test_p13_faults.py"
ELEMENT = "../test_element.py"
"""The host's page says this one: there is no window."""


@dataclass(frozen=True, slots=True)
class Ending:
    """One way that it goes, with what the screen says, and the one thing that it offers first."""

    name: str
    """Also of its picture, `NAME.png`."""
    happened: str
    screen: str
    title: str
    button: str
    file: str
    test: str


ENDINGS: tuple[Ending, ...] = (
    Ending(
        "first",
        "Nobody has connected it yet.",
        "start",
        "Connect QuickBooks",
        "Connect to QuickBooks",
        PEOPLE,
        "test_before_the_first_login_it_says_what_is_needed_and_that_the_company_is_chosen_there",
    ),
    Ending(
        "stopped-working",
        "The saved sign-in stopped working.",
        "start",
        "Reconnect QuickBooks",
        "Connect to QuickBooks",
        PEOPLE,
        "test_before_another_login_it_says_which_company_and_why_it_stopped",
    ),
    Ending(
        "working",
        "It works, and somebody edits the credentials.",
        "start",
        "Reconnect QuickBooks",
        "Connect to QuickBooks",
        PEOPLE,
        "test_before_a_login_while_it_works_it_says_that_nothing_is_broken",
    ),
    Ending(
        "pop-up-blocked",
        "The browser blocked the pop-up.",
        "the element in the host's page",
        "Your browser did not open the window.",
        "Go on in this tab",
        ELEMENT,
        "test_a_blocked_pop_up_is_said_and_one_button_goes_on_in_this_tab",
    ),
    Ending(
        "closed",
        "The person closed the window at the provider, and comes back later.",
        "waiting",
        "Finish signing in at QuickBooks",
        "Go on to QuickBooks",
        PEOPLE,
        "test_who_closes_the_window_at_the_provider_goes_on_by_the_link_later",
    ),
    Ending(
        "stopped",
        "The person stopped.",
        "ended cancelled",
        "You stopped before the end",
        "Start again",
        PEOPLE,
        "test_who_stops_is_told_that_nothing_was_changed",
    ),
    Ending(
        "denied",
        "The person declined at the provider.",
        "ended access_denied",
        "You didn't allow the connection",
        "Start again",
        PEOPLE,
        "test_who_declines_at_the_provider_may_start_again",
    ),
    Ending(
        "second-tab",
        "The link stood open in a second tab, and its button was pressed there, too.",
        "waiting",
        "Finish signing in at QuickBooks",
        "Go on to QuickBooks",
        PEOPLE,
        "test_a_second_tab_leads_to_where_the_first_one_is",
    ),
    Ending(
        "back-button",
        "The back button was pressed at the provider.",
        "waiting",
        "Finish signing in at QuickBooks",
        "Go on to QuickBooks",
        PEOPLE,
        "test_the_back_button_at_the_provider_leads_to_a_screen_that_goes_on",
    ),
    Ending(
        "reload",
        "The page of an ending was loaded again.",
        "ended access_denied",
        "You didn't allow the connection",
        "Start again",
        PEOPLE,
        "test_a_reload_shows_the_same_ending",
    ),
    Ending(
        "callback-twice",
        "The provider's answer was opened twice.",
        "ended access_denied",
        "You didn't allow the connection",
        "Start again",
        PEOPLE,
        "test_a_callback_that_is_opened_twice_shows_how_it_went",
    ),
    Ending(
        "earlier-click",
        "The provider's answer is to an earlier click of this browser.",
        "dead stale_answer",
        "That was an earlier sign-in",
        "Go on",
        PEOPLE,
        "test_the_answer_of_an_earlier_click_leads_on_to_the_newest",
    ),
    Ending(
        "after-an-hour",
        "The person wants to start again more than an hour after the host asked.",
        "dead session_over",
        "It has been a while",
        "Back to Drivewell",
        PEOPLE,
        "test_after_an_hour_the_host_has_to_be_asked_again",
    ),
    Ending(
        "wrong-company",
        "The person signed in to another company.",
        "ended wrong_account",
        "That was another company",
        "Choose the right company",
        PEOPLE,
        "test_p06_a_wrong_company_is_refused_with_both_names",
    ),
    Ending(
        "several-companies",
        "The person allowed several companies, and none is known yet.",
        "ended several_accounts",
        "More than one was chosen",
        "Choose only one",
        PEOPLE,
        "test_s15_several_companies_are_never_guessed_among",
    ),
    Ending(
        "company-taken",
        "Another connection of the host's customer uses that company.",
        "ended account_taken",
        "That company is connected already",
        "Choose another company",
        PEOPLE,
        "test_s17_a_company_that_is_connected_already_is_named",
    ),
    Ending(
        "not-an-admin",
        "The person is no administrator of the company.",
        "ended needs_admin",
        "An administrator has to do this",
        "Hand it to a colleague",
        PEOPLE,
        "test_p09_who_is_no_admin_any_more_is_told_whom_to_ask",
    ),
    Ending(
        "permission-unticked",
        "A permission was unticked.",
        "ended scope_missing",
        "A permission is missing",
        "Start again with every permission",
        PEOPLE,
        "test_a_permission_that_was_unticked_is_asked_for_again",
    ),
    Ending(
        "refused-there",
        "The provider refused on a page of its own, and sent nobody back.",
        "shown",
        "What did QuickBooks show you?",
        "Continue",
        PEOPLE,
        "test_p09_who_was_refused_on_the_providers_page_tells_it_and_the_history_keeps_it",
    ),
    Ending(
        "refused-there-told",
        "The person told that it asked for an administrator.",
        "ended needs_admin",
        "An administrator has to do this",
        "Hand it to a colleague",
        PEOPLE,
        "test_p09_who_was_refused_on_the_providers_page_tells_it_and_the_history_keeps_it",
    ),
    Ending(
        "time-ran-out",
        "Nobody came back from the provider before the deadline.",
        "ended attempt_expired",
        "The time ran out",
        "Continue",
        PEOPLE,
        "test_p09_when_the_time_ran_out_the_window_asks_and_the_answer_is_the_reason",
    ),
    Ending(
        "subscription-ended",
        "The person told that the company's subscription has ended.",
        "ended account_inactive",
        "The subscription has ended",
        "Back to Drivewell",
        PEOPLE,
        "test_p09_when_the_time_ran_out_the_window_asks_and_the_answer_is_the_reason",
    ),
    Ending(
        "set-up-first",
        "The person told that a product has to be set up first.",
        "ended product_missing",
        "QuickBooks has to be set up first",
        "Start again",
        PEOPLE,
        "test_p09_when_the_time_ran_out_the_window_asks_and_the_answer_is_the_reason",
    ),
    Ending(
        "something-else",
        "The person told of something else.",
        "ended provider_refused",
        "QuickBooks refused the sign-in",
        "Try again",
        PEOPLE,
        "test_p09_when_the_time_ran_out_the_window_asks_and_the_answer_is_the_reason",
    ),
    Ending(
        "link-used",
        "The link was used in another browser.",
        "dead link",
        "This link can't be used any more",
        "Back to Drivewell",
        LINKS,
        "test_a_link_that_was_used_in_another_browser_says_how_to_get_a_new_one",
    ),
    Ending(
        "link-expired",
        "The link has expired.",
        "dead link",
        "This link can't be used any more",
        "Back to Drivewell",
        LINKS,
        "test_a_link_that_has_expired_says_the_same",
    ),
    Ending(
        "link-of-somebody-else",
        "The page is of somebody else's attempt.",
        "dead link",
        "This link can't be used any more",
        "Back to Drivewell",
        LINKS,
        "test_the_page_of_somebody_elses_attempt_says_the_same",
    ),
    Ending(
        "link-unknown",
        "There never was such a link.",
        "dead link",
        "This link can't be used any more",
        "Back to Drivewell",
        LINKS,
        "test_a_link_that_never_was_says_the_same",
    ),
    Ending(
        "another-device",
        "The provider's answer came to another browser than the one that began.",
        "dead link",
        "This link can't be used any more",
        "Back to Drivewell",
        LINKS,
        "test_coming_back_on_another_device_says_to_go_on_where_it_began",
    ),
    Ending(
        "replaced",
        "A newer sign-in for this connection was opened.",
        "ended replaced",
        "Somebody started again",
        "Back to Drivewell",
        LINKS,
        "test_who_was_overtaken_by_a_newer_sign_in_is_told",
    ),
    Ending(
        "repaired",
        "A colleague has repaired it meanwhile.",
        "ended repaired",
        "It works again already",
        "Back to Drivewell",
        LINKS,
        "test_what_a_colleague_has_repaired_meanwhile_needs_nobody_any_more",
    ),
    Ending(
        "being-checked",
        "A colleague's sign-in is just being checked.",
        "dead verification_running",
        "A sign-in is being checked",
        "Look again",
        LINKS,
        "test_a_sign_in_that_is_being_checked_is_not_disturbed",
    ),
    Ending(
        "disconnected",
        "The connection was disconnected meanwhile.",
        "ended disconnected",
        "This connection was switched off",
        "Back to Drivewell",
        LINKS,
        "test_a_connector_that_was_taken_away_meanwhile_needs_no_sign_in",
    ),
    Ending(
        "deleted",
        "The connection was deleted meanwhile.",
        "ended removed",
        "This connection was deleted",
        "Back to Drivewell",
        LINKS,
        "test_a_connector_that_was_taken_away_meanwhile_needs_no_sign_in",
    ),
    Ending(
        "hand-on",
        "The person hands the sign-in to a colleague.",
        "hand_on",
        "Hand it to a colleague",
        "Make the link",
        LINKS,
        "test_p12_who_is_no_admin_hands_it_to_a_colleague_whose_link_works_once",
    ),
    Ending(
        "link-for-a-colleague",
        "The colleague's link was made.",
        "handed_on",
        "Send this link to Sam Okafor",
        "Copy the link",
        LINKS,
        "test_p12_who_is_no_admin_hands_it_to_a_colleague_whose_link_works_once",
    ),
    Ending(
        "handed-on",
        "The sign-in was handed on, and its former person comes back to it.",
        "ended handed_on",
        "It is Sam Okafor's turn now",
        "Back to Drivewell",
        LINKS,
        "test_p12_the_former_link_and_browser_are_void_and_another_link_can_be_made",
    ),
    Ending(
        "hand-on-elsewhere",
        "The person wants to hand on what the host has to confirm.",
        "hand_on elsewhere",
        "Your colleague starts at Drivewell",
        "Back to Drivewell",
        LINKS,
        "test_p12_where_the_host_confirms_the_person_the_colleague_starts_there",
    ),
    Ending(
        "confirming",
        "The host hasn't confirmed a new company yet.",
        "confirming",
        "Drivewell confirms that it's you",
        "Back to Drivewell",
        LINKS,
        "test_who_leaves_comes_back_by_the_link_to_the_step_where_it_was",
    ),
    Ending(
        "connected",
        "It went well.",
        "connected",
        "Connected, your data is flowing",
        "Back to Drivewell",
        LINKS,
        "test_who_leaves_comes_back_by_the_link_to_the_step_where_it_was",
    ),
    Ending(
        "provider-error",
        "The provider sent the person back with an error.",
        "ended provider_refused",
        "QuickBooks refused the sign-in",
        "Try again",
        FAULTS,
        "test_a_provider_that_sends_an_error_back_is_named",
    ),
    Ending(
        "provider-away",
        "The provider is away while we check.",
        "checking away",
        "QuickBooks doesn't answer",
        "Back to Drivewell",
        FAULTS,
        "test_a_provider_that_is_away_while_we_check_is_waited_for",
    ),
    Ending(
        "provider-slow",
        "The provider is slow while we check.",
        "checking slow",
        "This takes longer than usual",
        "Back to Drivewell",
        FAULTS,
        "test_a_provider_that_is_slow_is_said_to_be",
    ),
    Ending(
        "checks-timed-out",
        "The provider stayed away until the checks' deadline.",
        "ended verification_timed_out",
        "QuickBooks didn't answer in time",
        "Start again",
        FAULTS,
        "test_a_provider_that_stays_away_ends_the_checks_without_harm",
    ),
    Ending(
        "code-refused",
        "The provider refused its own code.",
        "ended code_refused",
        "The sign-in couldn't be completed",
        "Try again",
        FAULTS,
        "test_a_code_that_the_provider_refuses_is_asked_for_again",
    ),
    Ending(
        "interrupted",
        "The exchange was interrupted a second time; after the first it went on by itself.",
        "ended exchange_interrupted",
        "The sign-in was interrupted",
        "Continue to QuickBooks",
        FAULTS,
        "test_an_interrupted_exchange_goes_on_by_itself_once_and_then_asks",
    ),
    Ending(
        "misconfigured",
        "The provider rejects our own registration.",
        "ended client_rejected",
        "Our connection to the provider is misconfigured",
        "Back to Drivewell",
        FAULTS,
        "test_our_own_misconfiguration_sends_nobody_to_sign_in",
    ),
    Ending(
        "login-does-not-help",
        "The company's subscription has ended, as its sync found out.",
        "no_login",
        "The subscription has ended",
        "Back to Drivewell",
        FAULTS,
        "test_p10_a_link_to_a_company_whose_subscription_has_ended_offers_no_login",
    ),
    Ending(
        "cookies-blocked",
        "The browser blocks cookies.",
        "trouble cookies",
        "Your browser blocks our cookie",
        "Try again",
        FAULTS,
        "test_blocked_cookies_are_named",
    ),
    Ending(
        "foreign-click",
        "The click came from another page, or from one of another visit.",
        "trouble foreign",
        "We couldn't be sure that it was you",
        "Open the page afresh",
        FAULTS,
        "test_a_click_that_is_not_of_this_page_starts_nothing",
    ),
    Ending(
        "bad-request",
        "The provider's answer is incomplete.",
        "dead bad_request",
        "This address isn't complete",
        "Back to Drivewell",
        FAULTS,
        "test_an_answer_that_nobody_asked_for_leads_nowhere",
    ),
    Ending(
        "state-forged",
        "The provider's answer is to a question that nobody asked.",
        "dead link",
        "This link can't be used any more",
        "Back to Drivewell",
        FAULTS,
        "test_an_answer_that_nobody_asked_for_leads_nowhere",
    ),
    Ending(
        "another-method",
        "The address of a button was opened as a page.",
        "trouble method",
        "That doesn't work here",
        "Back to Drivewell",
        FAULTS,
        "test_an_address_that_is_used_in_another_way_says_so",
    ),
    Ending(
        "database-away",
        "Our database is away.",
        "trouble unavailable",
        "One moment, please",
        "Try now",
        FAULTS,
        "test_our_database_away_is_waited_for_by_the_page_itself",
    ),
    Ending(
        "broker-away",
        "Our broker is away.",
        "connected",
        "Connected, your sync starts soon",
        "Back to Drivewell",
        FAULTS,
        "test_our_broker_away_holds_nobody_up",
    ),
    Ending(
        "too-many",
        "Too many sign-ins were begun from this address.",
        "trouble too_many",
        "One moment, please",
        "Try now",
        FAULTS,
        "test_too_many_clicks_are_asked_to_wait",
    ),
    Ending(
        "unknown-error",
        "A fault of ours.",
        "trouble fault",
        "Something went wrong on our side",
        "Try again",
        FAULTS,
        "test_a_fault_of_ours_shows_nothing_of_its_inside",
    ),
)
BY_NAME = {ending.name: ending for ending in ENDINGS}


def page() -> str:
    """The documentation page with the table of now."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = [
        "| what happened | the screen says | its one next step | picture | shown by |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {one.happened} | **{one.title}** (`{one.screen}`) | {one.button} | `{one.name}.png` | `{one.test}` |"
        for one in ENDINGS
    ]
    return "\n".join([before + BEGIN, "", *lines, "", END + after])


def main(arguments: Sequence[str]) -> int:
    """The exit code: 1 where `--check` found a stale page."""
    made = page()
    if "--check" in arguments:
        return int(PAGE.read_text(encoding="utf-8") != made)
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
