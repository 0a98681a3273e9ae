"""Grouped commits: requests that come at once share one, and none harms another."""

import asyncio
import threading
from dataclasses import replace

import pytest

from destination.errors import StoreUnavailable
from destination.store.queries import lists
from destination.store.queue import group_commit
from destination.store.queue.enqueue import enqueue as real_enqueue
from destination.store.queue.group_commit import GroupCommit
from tests.conftest import arrival
from tests.running import PATIENCE, until


def together(commits, *requests):
    """Sends requests at once: what became of each, or its error."""

    async def send():
        sent = [commits.enqueue(request) for request in requests]
        return await asyncio.gather(*sent, return_exceptions=True)

    return [
        told if isinstance(told, Exception) else [outcome.outcome for outcome in told]
        for told in asyncio.run(send())
    ]


def alone(commits, arrivals):
    return asyncio.run(commits.enqueue(arrivals))


def counting(monkeypatch):
    """How many arrivals each commit had."""
    sizes = []

    def enqueue(database, arrivals):
        sizes.append(len(arrivals))
        return real_enqueue(database, arrivals)

    monkeypatch.setattr(group_commit, "enqueue", enqueue)
    return sizes


def holding(monkeypatch):
    """Commits that tell when one begins, and wait until they may go on."""
    begun, go_on = threading.Event(), threading.Event()

    def enqueue(database, arrivals):
        begun.set()
        assert go_on.wait(PATIENCE)
        return real_enqueue(database, arrivals)

    monkeypatch.setattr(group_commit, "enqueue", enqueue)
    return begun, go_on


def test_requests_that_come_at_once_share_a_commit(database, monkeypatch):
    sizes = counting(monkeypatch)
    requests = [[arrival(f"m{n}"), arrival(f"n{n}")] for n in range(5)]

    assert together(GroupCommit(database), *requests) == [["accepted", "accepted"]] * 5
    assert sizes == [10]


def bulk_of(count):
    made = [arrival(f"b{n}", f"b{n}") for n in range(count)]
    return [replace(one, deliveries=(replace(one.deliveries[0], bulk=True),)) for one in made]


def test_bulk_has_commits_of_its_own(database, monkeypatch):
    monkeypatch.setattr(group_commit, "MAX_BULK", 4)
    sizes = counting(monkeypatch)
    bulk = bulk_of(12)
    purchases = [[arrival(f"m{n}"), arrival(f"n{n}"), arrival(f"o{n}")] for n in range(2)]

    together(GroupCommit(database), bulk[:4], bulk[4:8], bulk[8:], *purchases)
    assert sorted(sizes) == [4, 4, 4, 6]


def test_who_comes_while_bulk_is_kept_does_not_wait_for_it_and_goes_before_the_next(
    database, monkeypatch
):
    monkeypatch.setattr(group_commit, "MAX_BULK", 1)
    kept = []
    begun, go_on = threading.Event(), threading.Event()

    def enqueue(database, arrivals):
        [one] = arrivals
        if one.message_id == "b0":
            begun.set()
            assert go_on.wait(PATIENCE)
        outcomes = real_enqueue(database, arrivals)
        kept.append(one.message_id)
        if one.message_id == "m1":
            go_on.set()
            until(lambda: "b0" in kept)  # now the next bulk could begin
        kept.append(f"{one.message_id} ends")
        return outcomes

    monkeypatch.setattr(group_commit, "enqueue", enqueue)

    async def send():
        commits = GroupCommit(database)
        audience = asyncio.create_task(commits.enqueue(bulk_of(2)))
        await asyncio.to_thread(begun.wait, PATIENCE)
        await commits.enqueue([arrival("m1")])
        await audience

    asyncio.run(send())
    assert kept.index("m1") < kept.index("b0")
    assert kept.index("m1 ends") < kept.index("b1")


def test_a_large_request_of_bulk_is_kept_in_small_commits(database, monkeypatch):
    monkeypatch.setattr(group_commit, "MAX_BULK", 4)
    sizes = counting(monkeypatch)

    assert [outcome.message_id for outcome in alone(GroupCommit(database), bulk_of(10))] == [
        f"b{n}" for n in range(10)
    ]
    assert sizes == [4, 4, 2]


def test_a_lone_request_waits_for_nobody(database, monkeypatch):
    sizes = counting(monkeypatch)
    commits = GroupCommit(database)

    assert [outcome.outcome for outcome in alone(commits, [arrival("m1")])] == ["accepted"]
    assert [outcome.outcome for outcome in alone(commits, [arrival("m1")])] == ["duplicate"]
    assert sizes == [1, 1]


def send_again(commits, senders, times, rounds=3):
    """Senders who each send their next request some rounds of the loop after they were answered."""

    async def send(sender):
        for turn in range(times):
            await commits.enqueue([arrival(f"{sender}-{turn}")])
            for _ in range(rounds * sender):
                await asyncio.sleep(0)

    async def send_all():
        await asyncio.gather(*(send(sender) for sender in range(senders)))

    asyncio.run(send_all())


def test_senders_who_come_again_at_once_are_waited_for_and_share_each_commit(database, monkeypatch):
    sizes = counting(monkeypatch)
    monkeypatch.setattr(group_commit, "AGAIN", PATIENCE)
    monkeypatch.setattr(group_commit, "GATHER", PATIENCE)

    send_again(GroupCommit(database), senders=5, times=4)
    assert sizes == [5, 5, 5, 5]


def test_where_nobody_was_answered_a_moment_ago_nobody_is_waited_for(database, monkeypatch):
    sizes = counting(monkeypatch)
    monkeypatch.setattr(group_commit, "AGAIN", -1.0)

    send_again(GroupCommit(database), senders=5, times=2)
    assert sizes[0] == 5
    assert len(sizes) > 2


def test_senders_who_do_not_come_again_are_not_waited_for_long(database, monkeypatch):
    """Longer than `GATHER` it would be until the test ends."""
    monkeypatch.setattr(group_commit, "AGAIN", 0.01)
    sizes = counting(monkeypatch)
    commits = GroupCommit(database)

    async def send():
        await asyncio.gather(*(commits.enqueue([arrival(f"m{n}")]) for n in range(5)))
        for number in range(5, 8):
            await commits.enqueue([arrival(f"m{number}")])

    asyncio.run(send())
    assert sizes == [5, 1, 1, 1]


def test_whatever_a_commit_dies_of_later_ones_are_made(database, monkeypatch):
    commits = GroupCommit(database)

    def leave(*_):
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(group_commit, "enqueue", leave)
        [told] = together(commits, [arrival("m1")])
        assert isinstance(told, RuntimeError)
    assert together(commits, [arrival("m1")]) == [["accepted"]]


def test_while_requests_have_waited_too_long_others_are_told_so(database, monkeypatch):
    begun, go_on = holding(monkeypatch)
    monkeypatch.setattr(group_commit, "PATIENCE", 0.0)

    async def send():
        commits = GroupCommit(database)
        kept = asyncio.create_task(commits.enqueue([arrival("m1")]))
        await asyncio.to_thread(begun.wait, PATIENCE)
        waits = asyncio.create_task(commits.enqueue([arrival("m2")]))
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable):
            await commits.enqueue([arrival("m3")])
        bulk = asyncio.create_task(commits.enqueue(bulk_of(1)))
        go_on.set()
        return [outcomes[0].outcome for outcomes in await asyncio.gather(kept, waits, bulk)]

    assert asyncio.run(send()) == ["accepted"] * 3


def test_a_request_that_is_cut_off_harms_no_other(database, monkeypatch):
    begun, go_on = holding(monkeypatch)

    async def send():
        commits = GroupCommit(database)
        cut_off = asyncio.create_task(commits.enqueue([arrival("m1")]))
        other = asyncio.create_task(commits.enqueue([arrival("m2")]))
        await asyncio.to_thread(begun.wait, PATIENCE)
        cut_off.cancel()
        go_on.set()
        return [outcome.outcome for outcome in await other]

    assert asyncio.run(send()) == ["accepted"]
    assert {row["message_id"] for row in lists.events(database)} == {"m1", "m2"}


def test_the_same_call_in_two_requests_is_one_call(database):
    assert together(GroupCommit(database), [arrival("m1")], [arrival("m1")]) == [
        ["accepted"],
        ["duplicate"],
    ]


def test_a_group_has_a_bound(database, monkeypatch):
    sizes = counting(monkeypatch)
    monkeypatch.setattr(group_commit, "MAX_GROUP", 3)

    together(
        GroupCommit(database),
        *([arrival(f"m{n}"), arrival(f"n{n}")] for n in range(3)),
        [arrival("x")] * 9,
    )
    assert sizes == [2, 2, 2, 3, 3, 3]


def test_a_request_beyond_the_bound_is_kept_in_several_commits(database, monkeypatch):
    monkeypatch.setattr(group_commit, "MAX_GROUP", 3)
    sizes = counting(monkeypatch)

    told = alone(GroupCommit(database), [arrival(f"m{n}", f"u{n}") for n in range(8)])
    assert [outcome.message_id for outcome in told] == [f"m{n}" for n in range(8)]
    assert sizes == [3, 3, 2]


def test_a_call_that_cannot_be_kept_harms_no_other_request(database):
    good, bad, also_good = together(
        GroupCommit(database), [arrival("m1")], [arrival("m2", call=None)], [arrival("m3")]
    )

    assert (good, also_good) == (["accepted"], ["accepted"])
    assert isinstance(bad, Exception)
    assert {row["message_id"] for row in lists.events(database)} == {"m1", "m3"}


def test_when_the_store_is_away_everybody_is_told(database, monkeypatch):
    def away(*_):
        raise StoreUnavailable("gone")

    commits = GroupCommit(database)
    with monkeypatch.context() as patched:
        patched.setattr(group_commit, "enqueue", away)
        told = together(commits, [arrival("m1")], [arrival("m2")])
        assert [type(error) for error in told] == [StoreUnavailable] * 2
    assert [outcome.outcome for outcome in alone(commits, [arrival("m1")])] == ["accepted"]
