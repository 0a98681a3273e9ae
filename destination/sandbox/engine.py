"""The engine keeps customers, their referral codes and their points, behind one lock."""

import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock

from destination.sandbox import notices
from destination.sandbox.rules import Rules

#: Rehook's ids look like `cust_rQgkYNzPVgye5RKUy9l30`: a prefix and 21 letters and digits.
ID_ALPHABET = string.ascii_letters + string.digits
ID_LENGTH = 21
CODE_LENGTH = 6

#: The events of which Rehook's webhook tells again, with the properties that they were sent with.
ECHOED = ("order_success", "signup")


@dataclass(frozen=True, kw_only=True)
class EngineEvent:
    """Something that a customer did, as it arrived."""

    name: str
    metadata: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class WalletTransaction:
    """Points credited once to a customer's wallet."""

    points: int
    #: The event's name; `referral_advocate` or `referral_friend` for a referral's reward.
    description: str
    id: str = field(default_factory=lambda: new_id("trhi"))


@dataclass(frozen=True, kw_only=True)
class Customer:
    """A customer at one moment: a change makes a new value, so that readers need no lock."""

    #: The caller's own id of the customer; `id` is the engine's.
    source_id: str
    referral_code: str
    metadata: Mapping[str, object] = field(default_factory=dict)
    #: The source_id of the advocate whose code brought this customer.
    referred_by: str | None = None
    #: The source_ids of the friends that this customer's code brought, in order.
    referrals: tuple[str, ...] = ()
    events: tuple[EngineEvent, ...] = ()
    transactions: tuple[WalletTransaction, ...] = ()
    id: str = field(default_factory=lambda: new_id("cust"))

    @property
    def points(self) -> int:
        return sum(transaction.points for transaction in self.transactions)


class Engine:
    """Customers, codes and points. Every method may be called from any thread."""

    def __init__(self, rules: Rules, tell: Callable[[dict[str, object]], None]) -> None:
        """`tell` takes the notices of what happens, and must not wait."""
        self._rules = rules
        self._tell = tell
        self._lock = Lock()
        #: Each customer by its source_id, in the order in which they came.
        self._customers: dict[str, Customer] = {}
        #: The source_id to each of the engine's own ids, and to each referral code.
        self._ids: dict[str, str] = {}
        self._codes: dict[str, str] = {}

    def clear(self) -> None:
        """Forget every customer."""
        with self._lock:
            for kept in (self._customers, self._ids, self._codes):
                kept.clear()

    def save(
        self, source_id: str, *, referral_code: str | None, metadata: Mapping[str, object]
    ) -> bool:
        """Create the customer, or merge `metadata` into its properties.

        A new referral code replaces the customer's old one. False, and nothing is changed,
        if it belongs to another customer.
        """
        with self._lock:
            if referral_code and self._codes.get(referral_code, source_id) != source_id:
                return False
            customer = self._known_or_new(source_id, referral_code)
            code = referral_code or customer.referral_code
            del self._codes[customer.referral_code]
            self._codes[code] = source_id
            self._customers[source_id] = replace(
                customer, referral_code=code, metadata={**customer.metadata, **metadata}
            )
            return True

    def invoke(self, event: EngineEvent, *, source_id: str) -> None:
        """Take in an event and award what the rules say; an unknown customer is created."""
        with self._lock:
            customer = self._known_or_new(source_id)
            self._customers[source_id] = replace(customer, events=(*customer.events, event))
            if event.name in ECHOED:
                self._tell(notices.notice(event.name, source_id, dict(event.metadata)))
            points = self._rules.points(event.name, event.metadata)
            self._credit(source_id, points, description=event.name)
            if owed := self._rules.owed(event.name):
                self._reward(source_id, owed, name=event.name, campaign="loyalty")
            if event.name in self._rules.conversions:
                self._refer(source_id, code=event.metadata.get("referral_code"))

    def customer(self, any_id: str) -> Customer | None:
        """The customer with this source_id or with this id of the engine's own."""
        with self._lock:
            return self._customers.get(any_id) or self._customers.get(self._ids.get(any_id, any_id))

    def owner(self, code: str) -> Customer | None:
        """The customer to whom a referral code belongs."""
        with self._lock:
            return self._customers.get(self._codes.get(code, ""))

    def referred_by(self, advocate: Customer) -> list[Customer]:
        """The customers that this one referred, in order."""
        with self._lock:
            return [self._customers[source_id] for source_id in advocate.referrals]

    def customers(self) -> list[Customer]:
        """All of them, in the order in which they came."""
        with self._lock:
            return list(self._customers.values())

    def _known_or_new(self, source_id: str, code: str | None = None) -> Customer:
        customer = self._customers.get(source_id)
        if customer is None:
            customer = Customer(source_id=source_id, referral_code=code or self._unused_code())
            self._customers[source_id] = customer
            self._ids[customer.id] = source_id
            self._codes[customer.referral_code] = source_id
            self._tell(notices.created(source_id, customer_id=customer.id))
        return customer

    def _credit(
        self,
        source_id: str,
        points: int,
        *,
        description: str,
        campaign: str = "loyalty",
        redemption_id: str | None = None,
    ) -> None:
        if not points:
            return
        customer = self._customers[source_id]
        credit = WalletTransaction(points=points, description=description)
        self._customers[source_id] = replace(
            customer, transactions=(*customer.transactions, credit)
        )
        self._reward(
            source_id,
            points,
            name=description,
            campaign=campaign,
            redemption_id=redemption_id,
            transaction_id=credit.id,
        )
        self._tell(notices.credited(source_id, points=points, transaction_id=credit.id))

    def _reward(
        self,
        source_id: str,
        points: int,
        *,
        name: str,
        campaign: str,
        redemption_id: str | None = None,
        transaction_id: str | None = None,
    ) -> None:
        """Tell of a reward: in the wallet where it has a transaction, else to be paid by you."""
        self._tell(
            notices.rewarded(
                source_id,
                points=points,
                name=name,
                campaign=campaign,
                redemption_id=redemption_id or new_id("redm"),
                transaction_id=transaction_id,
            )
        )

    def _refer(self, friend_id: str, *, code: object) -> None:
        """Reward an advocate and its friend, if the code is another's and the friend is new."""
        advocate_id = self._codes.get(code) if isinstance(code, str) else None
        friend = self._customers[friend_id]
        if advocate_id is None or advocate_id == friend_id or friend.referred_by is not None:
            return
        advocate = self._customers[advocate_id]
        self._customers[advocate_id] = replace(advocate, referrals=(*advocate.referrals, friend_id))
        self._customers[friend_id] = replace(friend, referred_by=advocate_id)
        for role, rewarded, other, points in (
            ("advocate", advocate, friend, self._rules.advocate),
            ("friend", friend, advocate, self._rules.friend),
        ):
            redemption_id = new_id("redm")
            self._tell(
                notices.referred(
                    rewarded.source_id,
                    role=role,
                    points=points,
                    redemption_id=redemption_id,
                    customer_id=rewarded.id,
                    other_id=other.id,
                )
            )
            self._credit(
                rewarded.source_id,
                points,
                description=f"referral_{role}",
                campaign="referral",
                redemption_id=redemption_id,
            )

    def _unused_code(self) -> str:
        while True:
            code = "".join(secrets.choice(string.ascii_uppercase) for _ in range(CODE_LENGTH))
            if code not in self._codes:
                return code


def new_id(prefix: str) -> str:
    """An id as Rehook makes them: `cust_…`, `trhi_…`."""
    return f"{prefix}_{''.join(secrets.choice(ID_ALPHABET) for _ in range(ID_LENGTH))}"
