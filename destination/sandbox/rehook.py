"""Rehook's endpoints, as its documentation and Segment's code describe them."""

from typing import NoReturn

from flask import Blueprint, Response, abort, g, jsonify

from destination.sandbox.answers import problem, processed
from destination.sandbox.engine import Customer, EngineEvent
from destination.sandbox.state import state

rehook = Blueprint("rehook", __name__)


@rehook.post("/customers")
def save_customer() -> Response:
    """Create a customer, or merge metadata into the properties of a known one.

    Takes `{"source_id": str, "referral_code": str | null, "metadata": {…}}`; only source_id
    is required. Without a code a new customer gets one; "" is no code. The answer is not
    documented: the sandbox gives that of /events/invoke. 400 for a field that is missing or
    wrong, and for a code that belongs to another customer.
    """
    body = _body()
    source_id = _required(body, "source_id")
    code = _optional_text(body, "referral_code")
    if not state().engine.save(source_id, referral_code=code, metadata=_metadata(body)):
        _refuse(400, "referral_code", "referral_code belongs to another customer")
    return processed()


@rehook.get("/customers/<id:source_id>")
def get_customer(source_id: str) -> Response:
    """Show a customer, by source_id or by Rehook's own id.

    Gives `{"id", "source_id", "referral_code", "referral_count", "metadata"}`, or 404. Beyond
    the first two the fields' names are not documented: these are the sandbox's own.
    """
    return jsonify(_shown(_known(source_id)))


@rehook.get("/customers/validate-code/<id:code>")
def validate_code(code: str) -> Response:
    """Show the customer to whom a referral code belongs; 404 for a code of nobody's."""
    owner = state().engine.owner(code)
    if owner is None:
        _refuse(404, "referral_code", "referral_code is not known")
    return jsonify(_shown(owner))


@rehook.get("/customers/referral/list/<id:source_id>")
def list_referrals(source_id: str) -> Response:
    """List the customers that a customer referred, in order; 404 for an unknown customer."""
    friends = state().engine.referred_by(_known(source_id))
    return jsonify([_shown(friend) for friend in friends])


@rehook.post("/events/invoke")
def invoke_event() -> Response:
    """Take in an event, run the earning rules, create the customer if it is unknown.

    Takes `{"event_name": str, "source_id": str, "metadata": {…}}`; metadata is optional. It
    awards whenever it is called: nothing in the request tells a repetition. 400 for a field
    that is missing or wrong.
    """
    body = _body()
    name = _required(body, "event_name")
    source_id = _required(body, "source_id")
    state().engine.invoke(EngineEvent(name=name, metadata=_metadata(body)), source_id=source_id)
    return processed()


@rehook.get("/wallets/customer/<id:source_id>")
def list_wallets(source_id: str) -> Response:
    """List a customer's wallets: one, of points; 404 for an unknown customer."""
    customer = _known(source_id)
    wallet = {
        "wallet_id": "waty_sandboxPointsWallet00",
        "wallet_name": "Points",
        "currency": "INR",
        "singular_unit_name": "point",
        "plural_unit_name": "points",
        # Rehook's own name for the balance is not documented.
        "points": customer.points,
    }
    return jsonify([wallet])


@rehook.get("/events/segment/check-auth")
def check_auth() -> Response:
    """Tell that the API key and secret are right; Segment asks this to test them."""
    return jsonify(status="ok")


def _shown(customer: Customer) -> dict[str, object]:
    return {
        "id": customer.id,
        "source_id": customer.source_id,
        "referral_code": customer.referral_code,
        "referral_count": len(customer.referrals),
        "metadata": customer.metadata,
    }


def _known(any_id: str) -> Customer:
    customer = state().engine.customer(any_id)
    if customer is None:
        _refuse(404, "source_id", "customer is not known")
    return customer


def _body() -> dict[str, object]:
    if not isinstance(g.body, dict):
        _refuse(400, "body", "the body must be a JSON object")
    return g.body


def _required(body: dict[str, object], key: str) -> str:
    text = _optional_text(body, key)
    if not text:
        _refuse(400, key, f"{key} field is required")
    return text


def _optional_text(body: dict[str, object], key: str) -> str | None:
    value = body.get(key)
    if value is not None and not isinstance(value, str):
        _refuse(400, key, f"{key} must be a string")
    return value


def _metadata(body: dict[str, object]) -> dict[str, object]:
    value = body.get("metadata")
    if value is None:
        return {}
    if not isinstance(value, dict):
        _refuse(400, "metadata", "metadata must be an object")
    return value


def _refuse(status: int, key: str, message: str) -> NoReturn:
    """Answer at once, with the field and what is wrong with it."""
    abort(problem(status, key=key, message=message))
