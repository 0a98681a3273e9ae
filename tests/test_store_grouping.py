"""Grouped commits: requests that come at once share one, and none harms another."""

import threading
import time
from dataclasses import replace

from destination.errors import StoreUnavailable
from destination.store import grouping, records
from destination.store.grouping import Intake
from tests.conftest import arrival
from tests.running import PATIENCE, until


def together(intake, *requests):
    """Sends requests from a thread each, while the turn is held: so they come at once."""
    results = [None] * len(requests)

    def send(index):
        try:
            results[index] = [outcome.outcome for outcome in intake.accept(requests[index])]
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=send, args=(index,)) for index in range(len(requests))]
    queues = (intake._single, intake._bulk)
    with intake._single.turn:
        for index, thread in enumerate(threads):
            thread.start()
            until(lambda index=index: sum(len(queue.requests) for queue in queues) > index)
    for thread in threads:
        thread.join()
    return results


def counting(monkeypatch):
    """How many arrivals each commit had."""
    sizes, real = [], grouping.accept

    def accept(database, arrivals):
        sizes.append(len(arrivals))
        return real(database, arrivals)

    monkeypatch.setattr(grouping, "accept", accept)
    return sizes


def test_requests_that_come_at_once_share_a_commit(database, monkeypatch):
    sizes = counting(monkeypatch)
    requests = [[arrival(f"m{n}"), arrival(f"n{n}")] for n in range(5)]

    assert together(Intake(database), *requests) == [["accepted", "accepted"]] * 5
    assert sizes == [10]


def bulk_of(count):
    made = [arrival(f"b{n}", f"b{n}") for n in range(count)]
    return [replace(one, deliveries=(replace(one.deliveries[0], bulk=True),)) for one in made]


def test_bulk_has_commits_of_its_own(database, monkeypatch):
    monkeypatch.setattr(grouping, "MAX_BULK", 4)
    sizes = counting(monkeypatch)
    bulk = bulk_of(12)
    purchases = [[arrival(f"m{n}"), arrival(f"n{n}"), arrival(f"o{n}")] for n in range(2)]

    together(Intake(database), bulk[:4], bulk[4:8], bulk[8:], *purchases)
    assert sorted(sizes) == [4, 4, 4, 6]


def test_who_comes_while_bulk_is_kept_does_not_wait_for_it_and_goes_before_the_next(
    database, monkeypatch
):
    monkeypatch.setattr(grouping, "MAX_BULK", 1)
    real, kept = grouping.accept, []
    begun, go_on = threading.Event(), threading.Event()

    def accept(database, arrivals):
        [one] = arrivals
        if one.message_id == "b0":
            begun.set()
            assert go_on.wait(PATIENCE)
        outcomes = real(database, arrivals)
        kept.append(one.message_id)
        if one.message_id == "m1":
            go_on.set()
            until(lambda: "b0" in kept)  # now the next bulk could begin
        kept.append(f"{one.message_id} ends")
        return outcomes

    monkeypatch.setattr(grouping, "accept", accept)
    intake = Intake(database)
    audience = threading.Thread(target=intake.accept, args=(bulk_of(2),))
    audience.start()
    assert begun.wait(PATIENCE)
    intake.accept([arrival("m1")])
    audience.join()

    assert kept.index("m1") < kept.index("b0")
    assert kept.index("m1 ends") < kept.index("b1")


def test_a_large_request_of_bulk_is_kept_in_small_commits(database, monkeypatch):
    monkeypatch.setattr(grouping, "MAX_BULK", 4)
    sizes = counting(monkeypatch)

    assert [outcome.message_id for outcome in Intake(database).accept(bulk_of(10))] == [
        f"b{n}" for n in range(10)
    ]
    assert sizes == [4, 4, 2]


def test_a_lone_request_waits_for_nobody(database, monkeypatch):
    sizes = counting(monkeypatch)
    intake = Intake(database)

    assert [outcome.outcome for outcome in intake.accept([arrival("m1")])] == ["accepted"]
    assert [outcome.outcome for outcome in intake.accept([arrival("m1")])] == ["duplicate"]
    assert sizes == [1, 1]


def test_requests_that_are_under_way_share_a_commit_that_the_last_one_makes(database, monkeypatch):
    sizes = counting(monkeypatch)
    monkeypatch.setattr(grouping, "GATHER", PATIENCE)
    intake = Intake(database)
    intake.company = lambda: 5
    threads = [
        threading.Thread(target=intake.accept, args=([arrival(f"m{number}")],))
        for number in range(5)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == [5]


def test_a_request_under_way_that_brings_nothing_holds_up_nobody(database):
    intake = Intake(database)
    intake.company = lambda: 2

    assert [outcome.outcome for outcome in intake.accept([arrival("m1")])] == ["accepted"]


def test_who_is_not_bulk_does_not_wait_for_the_company_of_bulk(database, monkeypatch):
    monkeypatch.setattr(grouping, "GATHER", PATIENCE)
    begun, go_on = threading.Event(), threading.Event()
    real = grouping.accept

    def accept(database, arrivals):
        if arrivals[0].deliveries[0].bulk:
            begun.set()
            assert go_on.wait(PATIENCE)
        return real(database, arrivals)

    monkeypatch.setattr(grouping, "accept", accept)
    intake = Intake(database)
    audience = threading.Thread(target=intake.accept, args=(bulk_of(1),))
    audience.start()
    assert begun.wait(PATIENCE)
    intake.company = lambda: 2
    asked = time.monotonic()
    intake.accept([arrival("m1")])
    waited = time.monotonic() - asked
    go_on.set()
    audience.join()

    assert waited < PATIENCE / 2


def test_the_same_call_in_two_requests_is_one_call(database):
    assert together(Intake(database), [arrival("m1")], [arrival("m1")]) == [
        ["accepted"],
        ["duplicate"],
    ]


def test_a_group_has_a_bound(database, monkeypatch):
    sizes = counting(monkeypatch)
    monkeypatch.setattr(grouping, "MAX_GROUP", 3)

    together(
        Intake(database),
        *([arrival(f"m{n}"), arrival(f"n{n}")] for n in range(3)),
        [arrival("x")] * 9,
    )
    assert sizes == [2, 2, 2, 9]


def test_a_call_that_cannot_be_kept_harms_no_other_request(database):
    good, bad, also_good = together(
        Intake(database), [arrival("m1")], [arrival("m2", call=None)], [arrival("m3")]
    )

    assert (good, also_good) == (["accepted"], ["accepted"])
    assert isinstance(bad, Exception)
    assert {row["message_id"] for row in records.events(database)} == {"m1", "m3"}


def test_when_the_store_is_away_everybody_is_told(database, monkeypatch):
    def away(*_):
        raise StoreUnavailable("gone")

    intake = Intake(database)
    with monkeypatch.context() as patched:
        patched.setattr(grouping, "accept", away)
        told = together(intake, [arrival("m1")], [arrival("m2")])
        assert [type(error) for error in told] == [StoreUnavailable] * 2
    assert [outcome.outcome for outcome in intake.accept([arrival("m1")])] == ["accepted"]
