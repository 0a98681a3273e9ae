"""What a person or a test at practice looks at and turns: no part of the engine it plays."""

from dataclasses import asdict

from flask import Blueprint, Response, current_app, g, jsonify, request

from destination.sandbox.arrivals import RecordedRequest
from destination.sandbox.door import endpoint, is_practice
from destination.sandbox.engine import Customer
from destination.sandbox.faults import Misbehaviour, read_fault
from destination.sandbox.outbox import read_mischief
from destination.sandbox.state import state

practice = Blueprint("practice", __name__)

WHAT_THIS_IS = (
    "A loyalty engine to practise on. It plays Rehook's HTTP API on this machine, keeps "
    "everything in memory, and awards points that are worth nothing. The endpoints under "
    "/_sandbox show what arrived and let it misbehave on purpose; all others want Basic "
    "authentication with the API key and secret. It plays Reward too, which wants the API key "
    "as a Bearer token, and Segment's Tracking API, whose write key is the API key, and "
    "somebody who subscribed to event notifications."
)


@practice.get("/")
def front_page() -> Response:
    """Say what this is, and list the endpoints."""
    endpoints = {}
    for rule in current_app.url_map.iter_rules():
        (method,) = (rule.methods or set()) - {"HEAD", "OPTIONS"}
        told = current_app.view_functions[rule.endpoint].__doc__ or ""
        endpoints[f"{method} {endpoint(rule)}"] = told.partition("\n")[0]
    return jsonify(what=WHAT_THIS_IS, endpoints=endpoints)


@practice.get("/_sandbox/requests")
def list_requests() -> Response:
    """List everything that arrived at the engine, in order; `?source_id=` for one customer.

    `[{"number", "at", "method", "path", "body", "answer"}]`: path as it was sent, body as JSON
    or text, answer the HTTP status, or null while there is none and when it was dropped.
    """
    arrivals = state().arrivals.all(source_id=request.args.get("source_id"))
    return jsonify([_arrival(arrival) for arrival in arrivals])


@practice.get("/_sandbox/customers")
def list_customers() -> Response:
    """List every customer with all that is known of it, in order of arrival.

    `[{"source_id", "id", "referral_code", "metadata", "points", "referred_by", "events":
    [{"event_name", "metadata"}], "transactions": [{"transaction_id", "type", "points",
    "description"}]}]`.
    """
    return jsonify([_customer(customer) for customer in state().engine.customers()])


@practice.get("/_sandbox/webhooks")
def list_webhooks() -> Response:
    """List the webhooks that were sent, or would be if they had an address, in order.

    `[{"sender", "body", "answers"}]`: answers the HTTP status of each try, null without one.
    """
    return jsonify(state().outbox.all())


@practice.post("/_sandbox/webhooks")
def upset_webhooks() -> tuple[Response, int]:
    """Upset the next webhooks: {"repeat", "delay", "reorder", "count"}.

    Answers 201 with what is armed, or 400 with `{"message"}`: what is wrong with it.
    """
    try:
        mischief = read_mischief(g.body)
    except ValueError as error:
        return jsonify(message=str(error)), 400
    state().outbox.arm(mischief)
    return jsonify(asdict(mischief)), 201


@practice.get("/_sandbox/tracked")
def list_tracked() -> Response:
    """List the calls that reached the Tracking API, each once, in order of arrival."""
    return jsonify(state().tracked.all())


@practice.get("/_sandbox/notified")
def list_notified() -> Response:
    """List what the subscriber was told, each once, in order of arrival.

    `[{"signed", "notification"}]`: signed says whether there was a secret to check it by.
    """
    return jsonify(state().notified.all())


@practice.post("/_sandbox/notified")
def learn_secret() -> tuple[Response, int]:
    """Let the subscriber check signatures: {"secret": "whsec_…"}, as the account's is.

    Answers 201, or 400 with `{"message"}`: what is wrong with it.
    """
    try:
        state().signature.learn(g.body.get("secret") if isinstance(g.body, dict) else None)
    except ValueError as error:
        return jsonify(message=str(error)), 400
    return jsonify(message="what is not signed by it is refused from now on"), 201


@practice.get("/_sandbox/faults")
def list_faults() -> Response:
    """List the faults that are armed, in order, each with the count that is left."""
    return jsonify([_fault(fault) for fault in state().faults.armed()])


@practice.post("/_sandbox/faults")
def arm_fault() -> tuple[Response, int]:
    """Arm a fault: {"path", "status" | "drop" | "delay", "retry_after", "count", "source_id"}.

    Answers 201 with the fault, or 400 with `{"message"}`: what is wrong with it.
    """
    try:
        fault = read_fault(g.body)
    except ValueError as error:
        return jsonify(message=str(error)), 400
    known = current_app.url_map.bind("").allowed_methods(fault.path)
    if not known or is_practice(fault.path):
        return jsonify(message=f"no endpoint of the engine: {fault.path}; see GET /"), 400
    state().faults.arm(fault)
    return jsonify(_fault(fault)), 201


@practice.post("/_sandbox/reset")
def reset() -> tuple[str, int]:
    """Forget everything: customers, requests, faults, webhooks, tracked calls, notifications."""
    state().engine.clear()
    state().arrivals.clear()
    state().faults.clear()
    state().outbox.clear()
    state().tracked.clear()
    state().notified.clear()
    state().signature.forget()
    return "", 204


def _arrival(arrival: RecordedRequest) -> dict[str, object]:
    return {
        "number": arrival.number,
        "at": arrival.at,
        "method": arrival.method,
        "path": arrival.path,
        "body": arrival.body,
        "answer": arrival.answer,
    }


def _fault(fault: Misbehaviour) -> dict[str, object]:
    return {key: value for key, value in asdict(fault).items() if value is not None}


def _customer(customer: Customer) -> dict[str, object]:
    return {
        "source_id": customer.source_id,
        "id": customer.id,
        "referral_code": customer.referral_code,
        "metadata": customer.metadata,
        "points": customer.points,
        "referred_by": customer.referred_by,
        "events": [{"event_name": e.name, "metadata": e.metadata} for e in customer.events],
        "transactions": [
            {
                "transaction_id": credit.id,
                "type": "credit",
                "points": credit.points,
                "description": credit.description,
            }
            for credit in customer.transactions
        ],
    }
