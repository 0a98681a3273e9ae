"""Changed mapping files are taken up, all or nothing."""

import json
import os
import re
import shutil
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from destination.errors import InvalidMapping, StoreUnavailable
from destination.routing.reload import LiveRoutes
from destination.store import database as databases
from destination.store.queries import lists
from tests.conftest import ROOT, copy_presets
from tests.running import PATIENCE, service, until

ORDER = {"type": "track", "userId": "u", "event": "A", "properties": {"total": 1}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of mappings of the test's own."""
    copy_presets(tmp_path / "mappings")
    monkeypatch.setenv("DESTINATION_MAPPINGS", str(tmp_path / "mappings"))
    return tmp_path / "mappings" / "segment-to-rehook"


@pytest.fixture
def live(folder, setup):
    return setup().receiver().routes


def names(live):
    return [mapping.name for mapping in live.current.mappings]


def rename(folder, name):
    path = folder / "track-event.yaml"
    path.write_text(path.read_text().replace("name: Track Event", f"name: {name}"))


def test_a_changed_file_is_taken_up(live, folder):
    before = live.current.digest
    rename(folder, "Purchase")
    live.look()

    assert names(live) == ["Identify User", "Purchase"]
    assert live.current.digest != before


def test_a_new_file_and_a_removed_one_are_taken_up(live, folder):
    (folder / "identify-user.yaml").rename(folder / "zz.yaml")
    live.look()
    assert names(live) == ["Track Event", "Identify User"]

    (folder / "zz.yaml").unlink()
    live.look()
    assert names(live) == ["Track Event"]


def test_a_file_that_was_only_touched_changes_nothing(live, folder):
    before = live.current
    (folder / "track-event.yaml").touch()
    live.look()

    assert live.current is before


def test_a_set_with_a_fault_never_replaces_a_good_one(live, folder):
    good = live.current
    rename(folder, "Purchase")
    (folder / "identify-user.yaml").write_text("name: oops\n")
    live.look()

    assert live.current is good
    assert "identify-user.yaml:1:1: the mapping needs the key action" in live.rejected.message
    since = live.rejected.since
    rename(folder, "Again")
    live.look()
    assert live.rejected.since == since


def test_when_the_fault_is_mended_everything_is_taken_up(live, folder):
    broken = folder / "broken.yaml"
    broken.write_text("name: [")
    live.look()
    rename(folder, "Purchase")
    broken.unlink()
    live.look()

    assert (names(live), live.rejected) == (["Identify User", "Purchase"], None)


def test_what_the_reader_of_yaml_breaks_on_is_told_like_any_fault(live, folder):
    path = folder / "track-event.yaml"
    path.write_text(f"enabled: !!bool maybe\n{path.read_text()}")
    live.look()

    assert "track-event.yaml:1:10: this cannot be read as true or false" in live.rejected.message


def test_a_folder_that_was_emptied_is_not_taken_up(live, folder):
    for path in folder.iterdir():
        path.unlink()
    live.look()

    assert len(names(live)) == 2
    assert "there is no mapping in it" in live.rejected.message


def test_a_direction_whose_files_are_all_gone_is_not_taken_up(live, folder):
    away = folder.parent.with_name("away")
    folder.rename(away)
    other = folder.with_name("rehook-to-segment")
    shutil.copytree(ROOT / "mappings" / other.name, other)
    live.look()

    assert names(live) == ["Identify User", "Track Event"]
    assert f"{folder}:1:1: its mappings are in force, and their files" in live.rejected.message
    away.rename(folder)
    live.look()
    assert live.rejected is None
    assert len(names(live)) > 2


def test_a_direction_that_was_switched_off_first_may_go(live, folder):
    other = folder.with_name("rehook-to-segment")
    shutil.copytree(ROOT / "mappings" / other.name, other)
    for path in folder.iterdir():
        path.write_text(f"{path.read_text()}enabled: false\n")
    live.look()
    shutil.rmtree(folder)
    live.look()

    assert live.rejected is None
    assert not {"Identify User", "Track Event"} & set(names(live))


@contextmanager
def as_nobody():
    """As somebody who may read what everybody may; root reads all."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_what_cannot_be_read_is_a_fault_and_the_last_good_files_go_on(setup, monkeypatch):
    with tempfile.TemporaryDirectory() as temporary:  # pytest's folders are closed to others
        root = Path(temporary)
        root.chmod(0o755)
        for way in ("segment-to-rehook", "rehook-to-segment"):
            shutil.copytree(ROOT / "mappings" / way, root / way)
        monkeypatch.setenv("DESTINATION_MAPPINGS", str(root))
        live = setup().receiver().routes
        good, folder = live.current, root / "segment-to-rehook"
        folder.chmod(0)
        with as_nobody():
            live.look()
        assert live.current is good
        fault = f"{folder}:1:1: it cannot be read: Permission denied. Let the user"
        assert live.rejected.message.startswith(fault)

        ours = setup()
        with as_nobody(), pytest.raises(InvalidMapping, match="cannot be read: Permission denied"):
            ours.routes()
        folder.chmod(0o755)
        live.look()
        assert (live.rejected, live.current) == (None, good)

        file = folder / "track-event.yaml"
        file.chmod(0)
        with as_nobody():
            live.look()
        assert live.rejected.message.startswith(f"{file}:1:1: it cannot be read: Permission denied")
        file.chmod(0o644)
        live.look()
        assert (live.rejected, live.current) == (None, good)


def test_a_file_that_cannot_be_read_is_a_fault_like_any_other(folder, setup):
    (folder / "order.yaml").symlink_to("nowhere")

    with pytest.raises(InvalidMapping, match=r"order\.yaml:1:1: it cannot be read"):
        setup().routes()


def test_files_that_cannot_be_remembered_are_looked_at_again(folder, setup):
    ours, away = setup(), []

    def remember(routes):
        if away:
            raise StoreUnavailable("gone")

    live = LiveRoutes(ours.settings.mappings, ours.routes, remember)
    away.append(True)
    rename(folder, "Purchase")
    with pytest.raises(StoreUnavailable):
        live.look()
    assert names(live)[1] == "Track Event"
    away.clear()
    live.look()
    assert names(live)[1] == "Purchase"


def test_without_a_good_set_a_receiver_does_not_start(folder, setup):
    (folder / "identify-user.yaml").write_text("name: oops\n")

    with pytest.raises(InvalidMapping, match="needs the key action"):
        setup().receiver()


def test_each_delivery_knows_the_files_that_made_it(folder, setup):
    receiver = setup().receiver()
    receiver.take([{**ORDER, "messageId": "m1"}], "segment")
    first = receiver.routes.current
    rename(folder, "Purchase")
    receiver.routes.look()
    receiver.take([{**ORDER, "messageId": "m2"}], "segment")

    second, made = lists.delivery(receiver.database, 2), lists.delivery(receiver.database, 1)
    assert (made["mapping_set"], second["mapping_set"]) == (
        first.digest,
        receiver.routes.current.digest,
    )
    texts = lists.mapping_texts(receiver.database, made["mapping_set"])
    assert "name: Track Event" in texts["segment-to-rehook/track-event.yaml"]


def test_what_waits_is_not_changed_by_a_mapping_that_is_switched_off(folder, setup):
    receiver = setup().receiver()
    receiver.take([{**ORDER, "messageId": "m1"}], "segment")
    before = lists.delivery(receiver.database, 1)
    path = folder / "track-event.yaml"
    path.write_text(path.read_text().replace("  metadata: $.properties\n", "enabled: false\n"))
    receiver.routes.look()
    receiver.take([{**ORDER, "messageId": "m2"}], "segment")

    assert lists.delivery(receiver.database, 1) == before
    assert [row["message_id"] for row in lists.deliveries(receiver.database)] == ["m1"]


def test_under_load_every_event_is_routed_by_one_whole_set(folder, tmp_path):
    """The files change over and over while calls come in: each event was made by the very set
    whose digest it carries, and the two of one request by the same.
    """
    with service(tmp_path, MAPPINGS=str(folder.parent)) as running:
        running.serve()
        stop = threading.Event()

        def change():
            number = 0
            while not stop.wait(0.1):
                number += 1
                for path in sorted(folder.glob("*.yaml")):
                    name = f"name: {path.stem} {number}"
                    path.write_text(
                        re.sub("^name: .*$", name, path.read_text(), flags=re.MULTILINE)
                    )

        changing = threading.Thread(target=change)
        changing.start()
        first = digest = _digest(running)
        sent = 0
        try:
            ends = time.monotonic() + PATIENCE
            while sent < 200 or digest == first:
                assert time.monotonic() < ends, "no changed file was taken up"
                track = {**ORDER, "messageId": f"t{sent}"}
                identify = {"type": "identify", "userId": "u", "messageId": f"i{sent}"}
                results = running.send(track, identify)
                assert {result["outcome"] for result in results} == {"accepted"}
                digest, sent = _digest(running), sent + 1
        finally:
            stop.set()
            changing.join()
        kept = databases.connect(running.settings["DATABASE_URL"])
        made = {
            row["message_id"]: lists.delivery(kept, row["id"]) for row in lists.deliveries(kept)
        }
        assert len(made) == sent * 2
        for number in range(sent):
            pair = made[f"t{number}"], made[f"i{number}"]
            assert len({one["mapping_set"] for one in pair}) == 1
            texts = "\n".join(lists.mapping_texts(kept, pair[0]["mapping_set"]).values())
            assert all(f"name: {one['mapping']}\n" in texts for one in pair)


def _digest(running):
    return requests.get(f"{running.url}/readyz", timeout=10).json()["mappings"]["digest"]


def test_a_running_receiver_tells_which_file_is_wrong_and_since_when(folder, tmp_path):
    with service(tmp_path, MAPPINGS=str(folder.parent)) as running:
        running.serve()

        def rejected():
            return requests.get(f"{running.url}/readyz", timeout=10).json()["mappings"]["rejected"]

        assert rejected() is None
        (folder / "broken.yaml").write_text("name: [")
        until(rejected, 10)
        assert "broken.yaml" in json.dumps(rejected())
        assert rejected()["since"].endswith("Z")
        told = running.run("mappings", "status")
        assert told.returncode == 1
        assert "In force since 20" in told.stdout
        assert "broken.yaml" in told.stdout
        assert running.send({**ORDER, "messageId": "m"})[0]["outcome"] == "accepted"
        (folder / "broken.yaml").unlink()
        until(lambda: rejected() is None, 10)
        told = running.run("mappings", "status", "--json")
        assert (told.returncode, json.loads(told.stdout)["rejected"]) == (0, None)
        nobody = running.run("mappings", "status", "--url", "http://127.0.0.1:1")
        assert (nobody.returncode, "Is the receiver up?" in nobody.stderr) == (1, True)
