"""Signing in by the form of a real browser."""

from playwright.sync_api import expect

from tests.browser.browsing import sign_in


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
