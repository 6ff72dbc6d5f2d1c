"""Tests the page in Chromium during faults: a paused queue, a stopped api, a hanging Redis. The page shows
the fault and recovers without being loaded again."""

import os
import signal
import urllib.request
from contextlib import contextmanager

from api import URL, child, cotiza, process
from visit import open_browser, visit

NOTE = "the disk is being replaced, see <b>ticket 7</b>"
PROBLEMS = "document.getElementById('problems').innerText"


@contextmanager
def stopped(pid):
    """Stops a process, so that it hangs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def a_paused_queue_is_shown_with_its_note(browser):
    with visit(browser) as visitor:
        cotiza("queue", "pause", "housekeeping", "--note", NOTE)
        try:
            visitor.wait("the pause and its note", f"note => {PROBLEMS}.includes(note)", NOTE)
            assert NOTE in visitor.text("#queues"), "the queue is not shown as paused"
            link = visitor.page.locator("#problems a").first.get_attribute("href")
            assert link == "help#queue-paused", link
            with urllib.request.urlopen(f"{URL}/help", timeout=10) as answer:
                assert 'id="queue-paused"' in answer.read().decode(), "the runbook has no such section"
        finally:
            cotiza("queue", "resume", "housekeeping")
        visitor.wait("the pause to go", f"note => !{PROBLEMS}.includes(note)", NOTE)
        visitor.check_clean()


def it_recovers_after_an_outage_of_the_api(browser):
    with visit(browser) as visitor:
        api = process("api")
        # While `up` is stopped, it does not start another api.
        with stopped(int(os.environ["COTIZA_PID"])):
            os.kill(api, signal.SIGTERM)
            visitor.wait("the page to show that it has no connection", "document.getElementById('disconnected').checkVisibility()")
            assert "No connection to the API" in visitor.text("#disconnected")
        visitor.wait("the connection", "!document.getElementById('disconnected').checkVisibility()")
        visitor.wait_for_new_price()
        visitor.wait("all sections to be current", "[...document.querySelectorAll('.late')].every(note => note.innerText === '')")
        assert process("api") != api
        assert visitor.evaluate("window.isSameDocument"), "the page was loaded again"


def it_recovers_after_redis_hung(browser):
    with visit(browser) as visitor:
        with stopped(child("redis-server")):
            visitor.wait("the page to report that Redis is unavailable", f"{PROBLEMS}.includes('Redis is unavailable')")
            assert not visitor.page.locator("#disconnected").is_visible(), "the api is available, but the page shows no connection"
            assert visitor.text("#price").replace(",", "").isdigit(), "the last price is not shown"
        visitor.wait("Redis", f"!{PROBLEMS}.includes('Redis is unavailable')", seconds=60)
        visitor.wait_for_new_price()
        assert visitor.evaluate("window.isSameDocument"), "the page was loaded again"


CHECKS = [a_paused_queue_is_shown_with_its_note, it_recovers_after_an_outage_of_the_api, it_recovers_after_redis_hung]
with open_browser() as chromium:
    for check in CHECKS:
        check(chromium)
        print(f"   {check.__name__.replace('_', ' ')}")
