"""Signing in by the form of a real browser."""

from playwright.sync_api import expect

from compliance.consent import Role
from tests.browser.browsing import sign_in
from tests.browser.conftest import OpenAs
from tests.browser.running import Running


def test_a_person_signs_in_and_out(open_as):
    page = open_as()
    page.goto("/leads")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    sign_in(page, "agent")
    expect(page.get_by_text("agent").first).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    page.goto("/leads")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_a_wrong_password_is_refused_in_a_sentence_and_the_name_is_kept(open_as):
    page = open_as()
    page.goto("/sign-in")
    page.get_by_label("User name").fill("agent")
    page.get_by_label("Password").fill("not the password at all")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("Name, password or one-time code is wrong")
    expect(page.get_by_label("User name")).to_have_value("agent")
    expect(page.get_by_label("Password")).to_have_value("")


def test_signing_in_leads_to_the_page_that_was_asked_for(open_as):
    page = open_as()
    page.goto("/leads?q=Lead")
    page.get_by_label("User name").fill("agent")
    page.get_by_label("Password").fill("nine horses under a bridge")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/leads?q=Lead")


def test_the_first_sign_in_sets_the_zone_of_the_browser_and_the_account_page_changes_it(
    product: Running, open_as: OpenAs
):
    product.add_people_named({"traveller": Role.AUDITOR})
    page = open_as(timezone_id="Asia/Colombo")
    sign_in(page, "traveller")
    footer = page.get_by_role("contentinfo")
    expect(footer).to_contain_text("Times and days are those of Asia/Colombo (UTC+05:30).")
    page.goto("/?span=30d")
    expect(page.locator("#dials-chart")).to_have_attribute("data-zone", "Asia/Colombo")
    later = open_as(timezone_id="Europe/Berlin")
    sign_in(later, "traveller")
    expect(later.get_by_role("contentinfo")).to_contain_text("those of Asia/Colombo")
    footer.get_by_role("link", name="Change the time zone").click()
    page.get_by_label("Times and days are those of").select_option("America/New_York")
    page.get_by_role("button", name="Set the time zone").click()
    expect(footer).to_contain_text("Times and days are those of America/New_York (UTC-")


def test_without_scripts_the_zone_is_that_of_the_installation(product: Running, open_as: OpenAs):
    product.add_people_named({"plain": Role.AGENT})
    page = open_as(timezone_id="Asia/Colombo", java_script_enabled=False)
    sign_in(page, "plain")
    expect(page.get_by_role("contentinfo")).to_contain_text("the zone of this installation). Change")
    expect(page.get_by_role("contentinfo")).not_to_contain_text("Asia/Colombo")
