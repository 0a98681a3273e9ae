"""The receiver's endpoints."""

import gzip
import hashlib
import hmac
import json
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from destination.errors import StoreUnavailable
from destination.store import database as databases
from destination.store.queries import lists
from destination.support import logs
from destination.support.logs import Sparing
from destination.web import server
from tests.clients import client_of
from tests.unit.partners.test_segment_source import OF_THE_FIRST, OF_THE_WHOLE, TWO
from tests.unit.support.test_json_codec import anything

#: Without the time of day: a test has the same name in every process.
zipped = partial(gzip.compress, mtime=0)

ORDER = {"type": "track", "messageId": "m1", "userId": "u1", "event": "Order Completed"}


@pytest.fixture
def make(setup, tmp_path):
    """Makes a client of the app, with some settings set."""

    def make(**values):
        url = f"sqlite:///{tmp_path / 'receive.db'}"
        return client_of(setup(DATABASE_URL=url, **values))

    return make


@pytest.fixture
def client(make):
    """One client of the app, for tests that send it many bodies."""
    return make()


def results(answer):
    assert answer.status_code == 200, answer.get_data()
    return [(result["outcome"], result["reason"]) for result in answer.get_json()["results"]]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_one_call_is_taken_and_answered(make, method):
    answer = make().open("/webhooks/segment", method=method, json=ORDER)

    assert answer.status_code == 200
    assert answer.get_json() == {
        "results": [{"messageId": "m1", "outcome": "accepted", "reason": None, "detail": None}]
    }


def test_a_batch_is_answered_call_by_call(make):
    body = [
        ORDER,
        {**ORDER, "userId": None, "messageId": "m2"},
        5,
        {"json": {**ORDER, "messageId": "m3"}},
        ORDER,
    ]

    assert results(make().post("/webhooks/segment", json=body)) == [
        ("accepted", None),
        ("discarded", "id_required"),
        ("discarded", "bad_request"),
        ("accepted", None),
        ("duplicate", None),
    ]


def test_an_empty_batch_is_no_error(make):
    assert results(make().post("/webhooks/segment", data="[]")) == []


def test_a_batch_of_4000_calls_is_taken_and_one_of_4001_is_not(make):
    client = make()
    calls = [{**ORDER, "messageId": f"m{n}"} for n in range(4001)]

    assert (
        results(client.post("/webhooks/segment", json=calls[:4000])) == [("accepted", None)] * 4000
    )
    refused = client.post("/webhooks/segment", json=calls)
    assert refused.status_code == 413
    assert "DESTINATION_MAX_BATCH_CALLS" in refused.get_json()["message"]


def test_a_body_of_4_mb_is_taken(make):
    calls = [
        {**ORDER, "messageId": f"m{n}", "properties": {"text": "x" * 31_000}} for n in range(130)
    ]
    body = json.dumps(calls).encode()
    assert len(body) > 4_000_000

    assert len(results(make().post("/webhooks/segment", data=body))) == 130


def test_a_body_that_is_too_large_is_refused(make):
    answer = make(MAX_BODY_BYTES="2000").post("/webhooks/segment", data=b"x" * 2001)

    assert answer.status_code == 413
    assert answer.get_json()["message"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "bad_request"),
        (b"", "bad_request"),
        (b"\xff", "bad_request"),
        (b'{"a":NaN}', "bad_request"),
        (b"5", "bad_request"),
        (b"[" * 9999, "nested_too_deep"),
        (b'{"a":' * 9999 + b"1" + b"}" * 9999, "nested_too_deep"),
    ],
)
def test_a_body_that_cannot_be_read_is_answered_400_with_the_reason(make, body, reason):
    answer = make().post("/webhooks/segment", data=body)

    assert answer.status_code == 400
    found = answer.get_json()
    assert found["message"]
    assert found.get("reason", found.get("results", [{}])[0].get("reason")) == reason


def test_a_refused_call_is_kept(make):
    client = make()
    client.post("/webhooks/segment", json={**ORDER, "userId": "u" * 300})

    [discard] = lists.discards(client.database)
    assert (discard["message_id"], discard["reason"]) == ("m1", "id_too_long")
    assert json.loads(lists.discard(client.database, discard["id"])["call"])["userId"] == "u" * 300


def test_segments_retry_of_a_call_without_a_message_id_is_recognised(make):
    client = make()
    call = {key: value for key, value in ORDER.items() if key != "messageId"}
    first, again = (client.post("/webhooks/segment", json=call) for _ in range(2))

    assert results(first) + results(again) == [("accepted", None), ("duplicate", None)]
    assert (
        first.get_json()["results"][0]["messageId"] == again.get_json()["results"][0]["messageId"]
    )


def test_a_dropped_call_is_answered_again_as_a_duplicate_with_its_reason(make):
    client = make()
    call = {**ORDER, "userId": None}

    assert results(client.post("/webhooks/segment", json=call)) == [("discarded", "id_required")]
    assert results(client.post("/webhooks/segment", json=call)) == [("duplicate", "id_required")]


def test_a_gzipped_body_is_unpacked(make):
    body = zipped(json.dumps(ORDER).encode())

    assert results(
        make().post("/webhooks/segment", data=body, headers={"Content-Encoding": "gzip"})
    ) == [("accepted", None)]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"not gzip", 400),
        (zipped(b"x" * 1000)[:-9], 400),
        (zipped(b"x" * 10_000_000), 413),
        (b"", 400),
    ],
)
def test_a_gzipped_body_that_is_broken_or_a_bomb_is_refused(make, body, status):
    answer = make().post("/webhooks/segment", data=body, headers={"Content-Encoding": "gzip"})

    assert answer.status_code == status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (zipped(b"[" + json.dumps(ORDER).encode()) + zipped(b"]"), 200),
        (zipped(json.dumps(ORDER).encode()) + b"more", 400),
        (zipped(b"[" + json.dumps(ORDER).encode()) + zipped(b"]")[:-4], 400),
    ],
    ids=["two members", "bytes behind", "a member without an end"],
)
def test_gzip_is_taken_whole_or_not_at_all(make, body, status):
    client = make()
    answer = client.post("/webhooks/segment", data=body, headers={"Content-Encoding": "gzip"})

    assert answer.status_code == status
    assert len(list(lists.events(client.database))) == (1 if status == 200 else 0)


def test_a_byte_order_mark_is_no_matter(make):
    body = b"\xef\xbb\xbf" + json.dumps([ORDER]).encode()

    assert results(make().post("/webhooks/segment", data=body)) == [("accepted", None)]


@pytest.mark.parametrize("body", ["[%s,%s]", '{"batch":[%s,%s]}'])
def test_a_byte_that_is_not_utf8_harms_one_call_of_a_batch(make, body):
    good = json.dumps(ORDER)
    bad = json.dumps({**ORDER, "messageId": "m2", "event": "A?"})
    sent = (body % (bad, good)).encode().replace(b"A?", b"A\xff")

    assert results(make().post("/webhooks/segment", data=sent)) == [
        ("discarded", "bad_request"),
        ("accepted", None),
    ]


@pytest.mark.parametrize("path", ["/webhooks/segment/", "/v1/track/", "/readyz/", "/healthz/"])
def test_a_slash_at_the_end_is_no_matter(make, path):
    method = "GET" if path.endswith("z/") else "POST"

    assert make().open(path, method=method, json=ORDER).status_code == 200


@pytest.mark.parametrize(
    ("path", "options", "status", "code"),
    [
        ("/webhooks/segment", {"data": b"{"}, 400, "bad_request"),
        ("/webhooks/segment", {"data": b"5"}, 400, "bad_request"),
        ("/webhooks/segment", {"json": ORDER, "auth": ("wrong", "")}, 401, "unauthorized"),
        ("/webhooks/nobody", {"json": ORDER}, 404, "not_found"),
        ("/healthz", {"json": ORDER}, 405, "method_not_allowed"),
        ("/webhooks/segment", {"data": b"x" * 5_000_000}, 413, "too_large"),
        (
            "/webhooks/segment",
            {"data": b"{}", "headers": {"Content-Encoding": "br"}},
            415,
            "unsupported_media_type",
        ),
    ],
)
def test_an_error_has_a_code_for_programs(make, path, options, status, code):
    """Two of Segment's own clients crash without it, and try a 401 again."""
    answer = make().post(path, **options)

    assert (answer.status_code, answer.get_json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("path", "why"), [("/webhooks/segment", "write key"), ("/v3/webHooks", "NOTIFICATIONS_USER")]
)
def test_a_request_that_is_not_let_in_is_logged_with_its_reason_and_not_often(
    make, monkeypatch, capsys, path, why
):
    """Segment does not send it again: its calls are lost until somebody sees this."""
    monkeypatch.setattr(server, "unauthorized_lines", Sparing(most=2, within=60.0))
    logs.configure("json")
    client = make()
    for _ in range(5):
        client.post(path, json=ORDER, auth=("wrong", ""))

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    told = [line for line in lines if line["event"] == "unauthorized"]
    assert [(line["path"], why in line["why"]) for line in told] == [(path, True)] * 2


def test_a_signature_is_required_where_a_secret_is_set(make):
    client = make(SEGMENT_SHARED_SECRET="old,abc123")

    def post(**headers):
        return client.post(
            "/webhooks/segment",
            data=TWO,
            headers={k.replace("_", "-"): v for k, v in headers.items()},
        )

    refused = [post(), post(X_Signature="0" * 40), post(X_Signature=OF_THE_FIRST)]
    assert [answer.status_code for answer in refused] == [401] * 3
    assert "WRITE_KEYS" in refused[2].get_json()["message"]
    assert post(X_Signature=OF_THE_WHOLE).status_code == 200
    assert list(lists.events(client.database))


def test_nothing_of_a_forged_body_is_kept(make):
    client = make(SEGMENT_SHARED_SECRET="abc123")
    client.post("/webhooks/segment", json=ORDER, headers={"X-Signature": "1" * 40})

    assert list(lists.events(client.database)) == []


@pytest.mark.parametrize("kind", ["identify", "track", "page", "screen", "group", "alias"])
def test_the_tracking_api_takes_each_kind_of_call(make, kind):
    client = make(SEGMENT_WRITE_KEYS="k1")
    call = {"userId": "u1", "event": "A"}

    assert client.post(f"/v1/{kind}", json=call).status_code == 401
    answer = client.post(f"/v1/{kind}", json=call, auth=("k1", ""))
    assert results(answer)[0][0] == ("accepted" if kind in ("identify", "track") else "discarded")
    [event] = lists.events(client.database)
    assert event["type"] == kind


def test_two_equal_tracking_calls_without_message_ids_are_two(make):
    client = make()

    for _ in range(2):
        assert results(client.post("/v1/track", json={"userId": "u1", "event": "A"})) == [
            ("accepted", None)
        ]


def test_the_tracking_api_takes_a_batch(make):
    body = {
        "batch": [ORDER, {"type": "identify", "userId": "u1"}],
        "sentAt": "x",
        "context": {"app": "y"},
    }

    assert results(make().post("/v1/batch", json=body)) == [("accepted", None)] * 2


@pytest.mark.parametrize("path", ["/v1/delete", "/webhooks/nobody", "/nothing"])
def test_an_unknown_path_is_answered_404_in_json(make, path):
    answer = make().post(path, json=ORDER)

    assert answer.status_code == 404
    assert answer.get_json()["message"]


def test_a_wrong_method_is_answered_405_in_json(make):
    answer = make().get("/webhooks/segment")

    assert (answer.status_code, bool(answer.get_json()["message"])) == (405, True)


def test_a_store_that_cannot_be_written_is_answered_503_and_when_to_come_back(make, monkeypatch):
    client = make()

    def broken(*_):
        raise StoreUnavailable("disk full")

    monkeypatch.setattr("destination.store.queue.group_commit.enqueue", broken)
    answer = client.post("/webhooks/segment", json=ORDER)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    monkeypatch.undo()
    assert results(client.post("/webhooks/segment", json=ORDER)) == [("accepted", None)]


def test_health_is_told(make):
    client = make()

    assert client.get("/healthz").get_json() == {"status": "ok"}
    ready = client.get("/readyz").get_json()
    assert (ready["status"], ready["holds"], ready["mappings"]["rejected"]) == ("ready", [], None)
    assert {"Identify User", "Track Event"} <= set(ready["mappings"]["names"])
    assert "Points Credited" not in ready["mappings"]["names"]  # Segment's key is not set


def test_no_log_line_tells_who_it_was_about(make, monkeypatch, capsys):
    logs.configure("json")
    client = make()

    def broken(*_):
        raise KeyError("canary@example.com")

    monkeypatch.setattr("destination.store.queue.group_commit.enqueue", broken)
    answer = client.post("/webhooks/segment", json={**ORDER, "userId": "canary@example.com"})
    assert answer.status_code == 500
    out, err = capsys.readouterr()
    assert "KeyError" in out + err
    assert "canary" not in out + err + answer.get_data(as_text=True)


def words(values):
    return st.one_of(values, anything)


calls = st.fixed_dictionaries(
    {},
    optional={
        "type": words(st.sampled_from(["track", "identify", "page"])),
        "messageId": words(st.text(max_size=300)),
        "userId": words(st.text(max_size=300)),
        "event": anything,
        "properties": anything,
        "traits": words(st.fixed_dictionaries({"referral_code": anything})),
        "integrations": anything,
        "timestamp": anything,
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    body=st.one_of(calls, st.lists(calls, max_size=5), anything).map(json.dumps)
    | st.text()
    | st.binary()
)
def test_no_body_gives_a_5xx(client, body):
    for path in ("/webhooks/segment", "/v1/track", "/v1/batch"):
        assert client.post(path, data=body).status_code < 500


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.lists(calls, min_size=1, max_size=5))
def test_what_was_received_twice_changes_nothing(client, body):
    client.post("/webhooks/segment", json=body)
    before = list(lists.events(client.database)), list(lists.deliveries(client.database))

    again = client.post("/webhooks/segment", json=body)
    assert {outcome for outcome, _ in results(again)} == {"duplicate"}
    assert (
        list(lists.events(client.database)),
        list(lists.deliveries(client.database)),
    ) == before


def test_a_receiver_that_cannot_write_is_not_ready(make, monkeypatch):
    monkeypatch.setattr("destination.store.database.LOCK_TIMEOUT", 0.05)
    client = make()
    other = databases.connect(str(client.database.engine.url))

    with other.writing():
        answer = client.get("/readyz")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        (b"{}", {"Content-Encoding": "br"}, 415, "only gzip is known"),
        (b'{"batch":1}', {}, 400, "not a list of calls"),
        (b"1" * 5000, {}, 400, "too many digits"),
        (b"x" * 5_000_000, {}, 413, "DESTINATION_MAX_BODY_BYTES"),
    ],
)
def test_what_is_wrong_is_said_in_our_words(make, body, headers, status, says):
    answer = make().post("/webhooks/segment", data=body, headers=headers)

    assert answer.status_code == status
    assert says in answer.get_json()["message"]


@pytest.mark.parametrize(
    ("path", "origin", "status"),
    [
        ("/webhooks/segment", "https://evil.example.com", 403),
        ("/v3/webHooks", "https://evil.example.com", 403),
        ("/webhooks/segment", "http://localhost", 200),
        ("/v1/track", "https://shop.example.com", 200),
    ],
)
def test_a_page_in_a_browser_reaches_the_tracking_api_alone(make, path, origin, status):
    """Though the browser knows the password, and runs on this very machine."""
    assert make().post(path, json=ORDER, headers={"Origin": origin}).status_code == status


def test_the_subscribers_api_takes_json_alone(make):
    """What a form of a page can send is none."""
    answer = make().post("/v3/webHooks", data="{}", content_type="text/plain")

    assert answer.status_code == 415


@pytest.mark.parametrize("packed", [False, True])
def test_a_first_call_that_is_too_large_costs_no_other_of_its_batch(make, packed):
    """Segment signs the first one alone, and does not send a 401 again."""
    large = {**ORDER, "messageId": "large", "properties": {"note": "x" * 40_000}}
    first, second = (json.dumps(each, separators=(",", ":")) for each in (large, ORDER))
    body = f"[{first},{second}]".encode()
    signature = hmac.new(b"abc123", first.encode(), hashlib.sha1).hexdigest()
    client = make(SEGMENT_SHARED_SECRET="abc123", SEGMENT_WRITE_KEYS="k1")
    headers = {"X-Signature": signature, "Authorization": "Bearer k1"}
    if packed:
        body, headers = zipped(body), {**headers, "Content-Encoding": "gzip"}

    assert results(client.post("/webhooks/segment", data=body, headers=headers)) == [
        ("discarded", "event_too_large"),
        ("accepted", None),
    ]


@pytest.mark.parametrize("origin", ["http://[", "null", "//", "http://a b"])
def test_an_origin_that_is_none_is_refused(make, origin):
    answer = make().post("/webhooks/segment", json=ORDER, headers={"Origin": origin})

    assert (answer.status_code, answer.get_json()["code"]) == (403, "forbidden")


def test_a_thousand_empty_gzip_members_are_not_read(make):
    body = zipped(b"") * 1000 + zipped(json.dumps(ORDER).encode())
    answer = make().post("/webhooks/segment", data=body, headers={"Content-Encoding": "gzip"})

    assert answer.status_code == 400
