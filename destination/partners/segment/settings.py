"""The settings of Segment: its webhooks, and its Tracking API in both directions."""

from dataclasses import dataclass
from typing import ClassVar

from destination.settings.parsers import names, one_of, switch, text, web_address
from destination.settings.tables import PREFIX, Pacing, setting


@dataclass(frozen=True, kw_only=True)
class SegmentSettings(Pacing):
    """What keeps strangers out, and how to reach the Tracking API."""

    PREFIX: ClassVar[str] = PREFIX + "SEGMENT_"

    shared_secret: tuple[str, ...] = setting(
        (),
        "The shared secret of the Webhooks (Actions) destination; two, comma-separated, while "
        "it is rotated.",
        read=names,
        secret=True,
    )
    write_keys: tuple[str, ...] = setting(
        (),
        "The write keys that the Tracking API accepts, and that vouch for the unsigned rest of "
        "a webhook's batch, comma-separated.",
        read=names,
        secret=True,
    )
    accept_unsigned: bool = setting(
        False,
        "Accept the unsigned rest of a batch whose first event alone is signed (yes or no). "
        "Whoever can change a batch on its way can then add events to it.",
        read=switch,
    )
    tracking_key: str = setting(
        "",
        "The write key of the source in Segment that rewards are sent to. Without it nothing is.",
        read=text,
        secret=True,
    )
    region: str = setting(
        "us",
        "Where your Segment workspace is: us or eu. In the wrong region events vanish silently.",
        read=one_of("us", "eu"),
    )
    tracking_url: str = setting(
        "",
        "The address of a Tracking API other than the region's: a proxy of yours.",
        read=web_address,
    )
    tracking_except: tuple[str, ...] = setting(
        ("Rehook", "Webhooks (Actions)", "Webhook", "Webhooks", "Extensible Webhook"),
        "The destinations in Segment that do not get what is sent there, comma-separated: those "
        "through which it would come round again.",
        read=names,
    )
