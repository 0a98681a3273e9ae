"""Group commit: requests that come at once share one, and none harms another."""

import asyncio
import threading
from concurrent.futures import Future, wait
from dataclasses import replace

import pytest

from destination.errors import StoreUnavailable
from destination.model.arrival import Receipt
from destination.store.queries import lists
from destination.store.queue import group_commit
from destination.store.queue.enqueue import enqueue as real_enqueue
from destination.store.queue.group_commit import GroupCommit
from tests.conftest import arrival
from tests.running import PATIENCE, until


class Commits:
    """What each commit had, by message id. The first one waits until it may go on."""

    def __init__(self, monkeypatch, *, holds_first=True):
        self.made: list[list[str]] = []
        self.begun, self.go_on = threading.Event(), threading.Event()
        if not holds_first:
            self.go_on.set()
        monkeypatch.setattr(group_commit, "enqueue", self.enqueue)

    def enqueue(self, database, arrivals):
        self.made.append([each.message_id for each in arrivals])
        self.begun.set()
        assert self.go_on.wait(PATIENCE)
        return real_enqueue(database, arrivals)

    @property
    def sizes(self) -> list[int]:
        return [len(each) for each in self.made]


def told(coming: Future[list[Receipt]]):
    """What a sender is told: the outcomes, or the error."""
    error = coming.exception(PATIENCE)
    return error if error else [receipt.outcome for receipt in coming.result()]


def behind_the_first(commits, made, *requests):
    """Requests that come while a first one is committed: what each is told."""
    first = commits.enqueue([arrival("first", "first")])
    assert made.begun.wait(PATIENCE)
    coming = [commits.enqueue(request) for request in requests]
    made.go_on.set()
    assert told(first) == ["accepted"]
    return [told(each) for each in coming]


def bulk_of(count):
    made = [arrival(f"b{n}", f"b{n}") for n in range(count)]
    return [replace(one, deliveries=(replace(one.deliveries[0], bulk=True),)) for one in made]


def test_requests_that_come_while_a_commit_is_made_share_the_next(database, monkeypatch):
    made = Commits(monkeypatch)
    requests = [[arrival(f"m{n}"), arrival(f"n{n}")] for n in range(5)]

    found = behind_the_first(GroupCommit(database), made, *requests)
    assert found == [["accepted", "accepted"]] * 5
    assert made.sizes == [1, 10]


def test_a_lone_request_waits_for_nobody(database, monkeypatch):
    made = Commits(monkeypatch, holds_first=False)
    commits = GroupCommit(database)

    assert told(commits.enqueue([arrival("m1")])) == ["accepted"]
    assert told(commits.enqueue([arrival("m1")])) == ["duplicate"]
    assert made.sizes == [1, 1]


def test_bulk_has_commits_of_its_own(database, monkeypatch):
    monkeypatch.setattr(group_commit, "MAX_BULK", 4)
    made = Commits(monkeypatch)
    bulk = bulk_of(12)
    purchases = [[arrival(f"m{n}"), arrival(f"n{n}"), arrival(f"o{n}")] for n in range(2)]

    behind_the_first(GroupCommit(database), made, bulk[:4], bulk[4:8], bulk[8:], *purchases)
    assert sorted(made.sizes) == [1, 4, 4, 4, 6]


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
        receipts = real_enqueue(database, arrivals)
        kept.append(one.message_id)
        if one.message_id == "m1":
            go_on.set()
            until(lambda: "b0" in kept)  # now the next bulk could begin
        kept.append(f"{one.message_id} ends")
        return receipts

    monkeypatch.setattr(group_commit, "enqueue", enqueue)
    commits = GroupCommit(database)
    audience = [commits.enqueue(part) for part in commits.parts(bulk_of(2))]
    assert begun.wait(PATIENCE)
    purchase = commits.enqueue([arrival("m1")])

    assert wait([purchase, *audience], PATIENCE).not_done == set()
    assert kept.index("m1") < kept.index("b0")
    assert kept.index("m1 ends") < kept.index("b1")


@pytest.mark.parametrize(
    ("arrivals", "sizes"),
    [
        (bulk_of(10), [4, 4, 2]),
        ([arrival(f"m{n}", f"u{n}") for n in range(8)], [3, 3, 2]),
    ],
)
def test_a_large_request_is_kept_in_several_commits(monkeypatch, database, arrivals, sizes):
    monkeypatch.setattr(group_commit, "MAX_BULK", 4)
    monkeypatch.setattr(group_commit, "MAX_GROUP", 3)
    commits = GroupCommit(database)

    assert [len(part) for part in commits.parts(arrivals)] == sizes


def test_a_group_has_a_bound(database, monkeypatch):
    monkeypatch.setattr(group_commit, "MAX_GROUP", 3)
    made = Commits(monkeypatch)
    requests = [[arrival(f"m{n}"), arrival(f"n{n}")] for n in range(3)]

    behind_the_first(GroupCommit(database), made, *requests, [arrival("x")], [arrival("y")])
    assert made.sizes == [1, 2, 2, 3, 1]


@pytest.mark.parametrize("error", [SystemExit, RuntimeError])
def test_whatever_a_commit_dies_of_later_ones_are_made(database, monkeypatch, error):
    commits = GroupCommit(database)

    def leave(*_):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(group_commit, "enqueue", leave)
        assert isinstance(told(commits.enqueue([arrival("m1")])), error)
    assert told(commits.enqueue([arrival("m1")])) == ["accepted"]


def test_while_requests_have_waited_too_long_others_are_told_so(database, monkeypatch):
    made = Commits(monkeypatch)
    monkeypatch.setattr(group_commit, "PATIENCE", 0.0)
    commits = GroupCommit(database)

    kept = commits.enqueue([arrival("m1")])
    assert made.begun.wait(PATIENCE)
    waits = commits.enqueue([arrival("m2")])
    until(commits.is_behind)
    with pytest.raises(StoreUnavailable):
        commits.enqueue([arrival("m3")])
    bulk = commits.enqueue(bulk_of(1))
    made.go_on.set()
    assert [told(each) for each in (kept, waits, bulk)] == [["accepted"]] * 3


def test_a_request_that_is_cut_off_before_its_commit_is_not_kept_and_harms_no_other(
    database, monkeypatch
):
    made = Commits(monkeypatch)
    commits = GroupCommit(database)
    begun = commits.enqueue([arrival("m1")])
    assert made.begun.wait(PATIENCE)
    waits, other = commits.enqueue([arrival("m2")]), commits.enqueue([arrival("m3")])

    assert [each.cancel() for each in (begun, waits)] == [False, True]
    made.go_on.set()
    assert [told(each) for each in (begun, other)] == [["accepted"]] * 2
    assert {row["message_id"] for row in lists.events(database)} == {"m1", "m3"}


def test_the_same_call_in_two_requests_is_one_call(database, monkeypatch):
    made = Commits(monkeypatch)

    found = behind_the_first(GroupCommit(database), made, [arrival("m1")], [arrival("m1")])
    assert found == [["accepted"], ["duplicate"]]


def test_a_call_that_cannot_be_kept_harms_no_other_request(database, monkeypatch):
    made = Commits(monkeypatch)
    requests = [arrival("m1")], [arrival("m2", call=None)], [arrival("m3")]

    good, bad, also_good = behind_the_first(GroupCommit(database), made, *requests)
    assert (good, also_good) == (["accepted"], ["accepted"])
    assert isinstance(bad, Exception)
    assert {row["message_id"] for row in lists.events(database)} == {"first", "m1", "m3"}


def test_when_the_store_is_away_everybody_is_told(database, monkeypatch):
    def away(*_):
        raise StoreUnavailable("gone")

    commits = GroupCommit(database)
    with monkeypatch.context() as patched:
        patched.setattr(group_commit, "enqueue", away)
        coming = [commits.enqueue([arrival(f"m{n}")]) for n in range(2)]
        assert [type(told(each)) for each in coming] == [StoreUnavailable] * 2
    assert told(commits.enqueue([arrival("m1")])) == ["accepted"]


def test_many_threads_are_each_told_of_their_own(database):
    commits = GroupCommit(database)
    found: dict[str, list[str]] = {}

    def send(name):
        for number in range(20):
            receipts = commits.enqueue([arrival(f"{name}-{number}", name)]).result(PATIENCE)
            found.setdefault(name, []).extend(receipt.message_id for receipt in receipts)

    threads = [threading.Thread(target=send, args=(f"s{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert found == {f"s{n}": [f"s{n}-{m}" for m in range(20)] for n in range(8)}


def test_requests_of_one_loop_that_come_one_after_the_other_share_a_commit(database, monkeypatch):
    """A commit begins once the loop has nobody more who would join. No timer is in it."""
    made = Commits(monkeypatch, holds_first=False)
    commits = GroupCommit(database)

    async def send(number):
        for _ in range(number):  # each comes a round of the loop later
            await asyncio.sleep(0)
        return await asyncio.wrap_future(commits.enqueue([arrival(f"m{number}", f"u{number}")]))

    async def send_all():
        return await asyncio.gather(*(send(number) for number in range(5)))

    assert [[r.outcome for r in receipts] for receipts in asyncio.run(send_all())] == [
        ["accepted"]
    ] * 5
    assert made.sizes == [5]
