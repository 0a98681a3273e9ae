"""The shapes of what the receiver answers, as its description tells them."""

from marshmallow import Schema, fields

from destination.model.arrival import Outcome
from destination.partners.webhook.destination import METHODS


class Result(Schema):
    """What became of one call."""

    messageId = fields.String(required=True)  # noqa: N815
    outcome = fields.String(required=True, metadata={"enum": list(Outcome)})
    reason = fields.String(required=True, allow_none=True)
    detail = fields.String(required=True, allow_none=True)


class Results(Schema):
    """What became of each call of a body."""

    results = fields.List(fields.Nested(Result), required=True)


class Message(Schema):
    """An error."""

    #: For programs: `unauthorized`, `too_large` …
    code = fields.String(required=True)
    #: For people: what is wrong, and the remedy.
    message = fields.String(required=True)
    reason = fields.String()
    results = fields.List(fields.Nested(Result))


class WorkersAlive(Schema):
    """Who delivers."""

    alive = fields.Integer(required=True)
    noWorkerSince = fields.String(  # noqa: N815
        required=True,
        allow_none=True,
        metadata={"description": "When the last one was seen, where that is 30 seconds ago."},
    )


class RejectedFiles(Schema):
    """Mapping files that are not taken up."""

    faults = fields.List(fields.String(), required=True)
    since = fields.String(required=True)


class MappingFiles(Schema):
    """The mapping files that are in force."""

    digest = fields.String(required=True)
    names = fields.List(fields.String(), required=True)
    since = fields.String(required=True)
    rejected = fields.Nested(RejectedFiles, required=True, allow_none=True)


class HeldDestination(Schema):
    destination = fields.String(required=True)
    reason = fields.String(required=True)
    since = fields.String(required=True)


class Backlog(Schema):
    """What stands with one destination."""

    waiting = fields.Integer(required=True)
    oldestWaitingSeconds = fields.Float(required=True)  # noqa: N815
    uncertain = fields.Integer(required=True)
    oldestUncertainSeconds = fields.Float(required=True)  # noqa: N815
    failed = fields.Integer(required=True)


class Readiness(Schema):
    """How the service stands."""

    status = fields.String(required=True)
    workers = fields.Nested(WorkersAlive, required=True)
    mappings = fields.Nested(MappingFiles, required=True)
    holds = fields.List(fields.Nested(HeldDestination), required=True)
    destinations = fields.Dict(keys=fields.String(), values=fields.Nested(Backlog), required=True)


class User(Schema):
    id = fields.Integer(required=True)
    code = fields.String(required=True)
    description = fields.String(required=True)
    name = fields.String(required=True)
    type = fields.String(required=True)


class Attribution(Schema):
    createdOn = fields.String(required=True)  # noqa: N815
    lastUpdatedOn = fields.String(required=True)  # noqa: N815
    lastUpdatedBy = fields.Nested(User, required=True)  # noqa: N815
    createdBy = fields.Nested(User, required=True)  # noqa: N815


class WebHook(Schema):
    """An account."""

    attribution = fields.Nested(Attribution, required=True)
    webHookId = fields.String(required=True)  # noqa: N815
    name = fields.String(required=True)
    eventNames = fields.List(fields.String(), required=True)  # noqa: N815
    webHookUrl = fields.String(required=True)  # noqa: N815
    webHookType = fields.String(required=True, metadata={"enum": ["HTTP"]})  # noqa: N815
    methodType = fields.String(required=True, metadata={"enum": list(METHODS)})  # noqa: N815
    webHookHeaders = fields.Dict(  # noqa: N815
        keys=fields.String(), values=fields.String(), required=True
    )
    noOfRetryAttempts = fields.Integer(required=True)  # noqa: N815
    maxAllowedConnections = fields.Integer(required=True)  # noqa: N815
    active = fields.Boolean(required=True)
    slaInSeconds = fields.Integer(required=True, allow_none=True)  # noqa: N815
    consumerGroupId = fields.String(required=True)  # noqa: N815


class Secret(Schema):
    """What signs an account's notifications."""

    webHookId = fields.String(required=True)  # noqa: N815
    secret = fields.String(required=True)


class EventName(Schema):
    active = fields.Boolean(required=True)
    eventName = fields.String(required=True)  # noqa: N815


class EventMetaData(EventName):
    """An event, and the JSON Schema of its notifications."""

    schema = fields.Dict(required=True)


class ConsumerResponse(Schema):
    webhookHttpStatus = fields.Float(required=True, allow_none=True)  # noqa: N815
    time_taken = fields.Float(required=True, metadata={"description": "Milliseconds."})


class EventLog(Schema):
    """What became of a notification."""

    refId = fields.String(required=True)  # noqa: N815
    requestId = fields.String(required=True)  # noqa: N815
    eventName = fields.String(required=True)  # noqa: N815
    eventId = fields.String(required=True)  # noqa: N815
    consumerGroupId = fields.String(required=True)  # noqa: N815
    eventIngestionTimestamp = fields.String(required=True)  # noqa: N815
    eventStartTimestamp = fields.String(required=True, allow_none=True)  # noqa: N815
    eventEndTimestamp = fields.String(required=True, allow_none=True)  # noqa: N815
    slaBreachTimestamp = fields.String(required=True, allow_none=True)  # noqa: N815
    consumerResponse = fields.Nested(ConsumerResponse, required=True, allow_none=True)  # noqa: N815
