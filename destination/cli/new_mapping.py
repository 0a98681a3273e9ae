"""The command that makes a mapping file: it asks a few questions, and an option answers each."""

import json
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click
from marshmallow.fields import Field

from destination.app import Setup
from destination.cli import drafts, samples
from destination.cli.drafts import Draft
from destination.cli.samples import NAMED, Sample
from destination.errors import Problem
from destination.mapping import InvalidMapping, compile_mapping, compile_trigger, expand, files
from destination.model.event import TYPES
from destination.partners.base.destination import Action
from destination.support import json_codec
from destination.support.json_codec import Json
from destination.support.text import did_you_mean, printable

#: The answer that means every event of a type.
EVERY = "*"

#: The answer that leaves a field out.
NOTHING = "-"

#: Characters of a sample's value that are shown beside its path.
_SHOWN = 40


@click.command()
@click.option("--direction", help="Where it leads: segment-to-rehook.")
@click.option("--action", "action_name", help="What the destination is to do: trackEvent.")
@click.option("--type", "type_", type=click.Choice(TYPES), help="The type of call it fires on.")
@click.option("--event", help=f"The event, page or screen it fires on; {EVERY} for every one.")
@click.option("--name", help="What you call the mapping.")
@click.option(
    "--field",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help=f"What a field sends: a path, a template or a text; {NOTHING} for nothing.",
)
@click.option("--yes", is_flag=True, help="Ask nothing: take what is usual where nothing is said.")
@click.option(
    "--fixtures",
    default=Path("fixtures"),
    show_default=True,
    type=click.Path(path_type=Path),
    help="Calls from which events and paths are offered, a folder a source.",
)
def new(
    direction: str | None,
    action_name: str | None,
    type_: str | None,
    event: str | None,
    name: str | None,
    given: tuple[str, ...],
    yes: bool,
    fixtures: Path,
) -> None:
    """Make a mapping file that passes lint. It asks for what the options do not say.

    \b
    Examples:
      destination mappings new
      destination mappings new --action trackEvent --event "Order Completed" --yes
    """
    setup = Setup.read()
    ask = _Asking(yes=yes)
    ways = drafts.directions(setup) if direction else drafts.directions_in_use(setup)
    known = dict.fromkeys(ways, "")
    direction = ask.which("Where does it lead?", direction, "--direction", known)
    source, _, destination = direction.partition("-to-")
    actions = setup.destinations[destination].actions
    described = {each.name: each.description for each in actions.values()}
    action = actions[ask.which("What is to be done?", action_name, "--action", described)]
    values = _given(given, action)
    found = samples.read_samples(fixtures / source, setup.sources[source])
    type_ = _type(ask, type_, event, action, found)
    event = _event(ask, event, type_, found)
    matching = [each for each in found if each.type == type_ and event in (EVERY, each.name)]
    name = ask(
        "What do you call it?",
        name,
        "--name",
        default=drafts.free_name(setup, direction, action.label if event == EVERY else event),
        check=lambda answer: drafts.path_for(setup, direction, answer),
    )
    fields = {
        field: value
        for field, declared in action.fields.fields.items()
        if (value := _value(ask, field, declared, values.get(field), matching)) != NOTHING
    }
    content: dict[str, object] = {
        "name": name,
        "action": action.name,
        "trigger": _trigger(type_, event),
        "fields": fields,
    }
    others = _mappings_that_fire(setup, source, _calls_like(type_, event, matching))
    made = _write(setup, direction, content)
    _what_next(made, matching, others)


def _write(setup: Setup, direction: str, content: dict[str, object]) -> Draft:
    """Write the mapping file, where lint finds no fault in it and no other does the same. Raises
    Problem.
    """
    if twin := _twin(setup, direction, content):
        raise Problem(
            f"Nothing is written: {twin.path} does the same, by the name {twin.name!r}. Both would "
            "be sent. Say another event or other fields, or change that file."
        )
    made = drafts.draft(setup, direction, content)
    if findings := drafts.findings(setup, [made]):
        raise Problem("\n".join(["Nothing is written:", *map(str, findings)]))
    drafts.write([made])
    return made


def _calls_like(type_: str, event: str, matching: Sequence[Sample]) -> list[Mapping[str, object]]:
    """Calls on which the new mapping fires: those of the fixtures, and a bare one."""
    return [*(sample.call for sample in matching), {"type": type_, NAMED.get(type_, ""): event}]


def _mappings_that_fire(
    setup: Setup, source: str, calls: Sequence[Mapping[str, object]]
) -> list[str]:
    """The names of the mappings that are there already and fire on one of the calls."""
    return [
        mapping.name
        for mapping in drafts.mappings(setup)
        if mapping.enabled and mapping.source == source and any(map(mapping.matches, calls))
    ]


class _Asking:
    """Asks at the terminal what no option has answered, and with --yes takes the default."""

    def __init__(self, *, yes: bool) -> None:
        self._yes = yes

    def which(
        self,
        question: str,
        given: str | None,
        option: str,
        offers: Mapping[str, str],
        *,
        default: str | None = None,
    ) -> str:
        """One of the offers; a question with one answer is not asked."""

        def check(answer: str) -> None:
            if answer not in offers:
                raise Problem(f"There is no {answer}. {did_you_mean(answer, offers)}")

        if given is None and len(offers) == 1:
            [given] = offers
        return self(question, given, option, offers=offers, default=default, check=check)

    def __call__(
        self,
        question: str,
        given: str | None,
        option: str,
        *,
        offers: Mapping[str, str] = {},
        default: str | None = None,
        check: Callable[[str], object],
    ) -> str:
        """The answer: the option's, or else the default's, or a person's. `offers` are shown
        with numbers, each with a note. `check` raises Problem for what cannot be an answer.
        """
        if given is None and self._yes:
            if default is None:
                raise click.UsageError(f"With --yes, {option} must be given.")
            given = default
        if given is not None:
            check(given)
            return given
        numbered = list(offers)
        click.secho(f"\n{question}", bold=True)
        width = max(map(len, numbered), default=0)
        for number, offer in enumerate(numbered, 1):
            line = f"{number:4}  {offer:{width}}  {offers[offer]}"
            click.echo(printable(line.rstrip()))

        def read(typed: str) -> str:
            chosen = typed.isdecimal() and 0 < int(typed) <= len(numbered)
            answer = numbered[int(typed) - 1] if chosen else typed
            try:
                check(answer)
            except Problem as problem:
                raise click.UsageError(str(problem)) from problem
            return answer

        what = "Number or text" if numbered else "Text"
        usual = str(numbered.index(default) + 1) if default in numbered else default
        answer: str = click.prompt(what, default=usual, value_proc=read)
        return answer


def _given(given: Sequence[str], action: Action) -> dict[str, str]:
    """What `--field` says: `metadata=$.properties`."""
    values = dict(each.partition("=")[::2] for each in given)
    for field in values:
        if field not in action.fields.fields:
            hint = did_you_mean(field, action.fields.fields)
            raise click.UsageError(f"{action.name} has no field {field}. {hint}")
    return values


def _type(
    ask: _Asking, given: str | None, event: str | None, action: Action, found: Sequence[Sample]
) -> str:
    if given is None and event not in (None, EVERY):
        given = next((each.type for each in found if each.name == event), "track")
    fires = compile_trigger(action.trigger)
    usual = next((each for each in TYPES if fires({"type": each})), "track")
    numbers = Counter(each.type for each in found)
    offers = {each: f"{numbers[each]} in the fixtures" if numbers[each] else "" for each in TYPES}
    return ask.which("On which calls does it fire?", given, "--type", offers, default=usual)


def _event(ask: _Asking, given: str | None, type_: str, found: Sequence[Sample]) -> str:
    if type_ not in NAMED:
        if given not in (None, EVERY):
            raise click.UsageError(f"{type_} has no events by name: leave --event out.")
        return EVERY
    offers = {EVERY: f"every {type_} call", **dict.fromkeys(samples.names(found, type_), "")}

    def check(answer: str) -> None:
        if not answer.strip():
            raise Problem(f"Write the event's name, or {EVERY} for every one.")

    question = f"Which {type_} calls?"
    return ask(question, given, "--event", offers=offers, default=EVERY, check=check)


def _value(
    ask: _Asking, name: str, declared: Field[object], given: str | None, matching: Sequence[Sample]
) -> Json:
    """What a field sends: its default, or what was typed."""
    default = declared.metadata.get("default", NOTHING)
    shown = default if isinstance(default, str) else json_codec.dumps(default)
    offers = {shown: "the usual"} if default != NOTHING else {}
    for path, sample in samples.paths(matching, declared).items():
        offers.setdefault(path, _shortened(sample))
    if not declared.required:
        offers[NOTHING] = "send nothing"

    def check(answer: str) -> None:
        if answer == NOTHING and declared.required:
            raise Problem(f"{name} is required.")
        if answer != shown:
            try:
                compile_mapping(expand(answer))
            except InvalidMapping as error:
                raise Problem(f"{error.message}.") from error

    need = "required" if declared.required else "optional"
    question = f"{name} ({declared.metadata['label']}, {need}): {declared.metadata['description']}"
    needed = declared.required and default == NOTHING
    answer = ask(
        question,
        given,
        f"--field {name}=…",
        offers=offers,
        default=None if needed else shown,
        check=check,
    )
    return default if answer == shown else answer


def _trigger(type_: str, event: str) -> str:
    if event == EVERY:
        return f'type = "{type_}"'
    escaped = event.replace("\\", "\\\\").replace('"', '\\"')
    return f'type = "{type_}" and {NAMED[type_]} = "{escaped}"'


def _twin(setup: Setup, direction: str, content: Mapping[str, object]) -> files.Mapping | None:
    """The mapping that is there, and differs by its name alone."""
    fields = expand(content["fields"])
    asked = (direction, content["action"], content["trigger"], fields, None, None)
    for each in drafts.mappings(setup):
        way = f"{each.source}-to-{each.destination}"
        if asked == (way, each.action, each.trigger, each.fields, each.max_age, each.award_key):
            return each
    return None


def _what_next(made: Draft, matching: Sequence[Sample], others: Sequence[str]) -> None:
    """Say what to try, and which other mappings send these events too: two may both be paid."""
    file = str(matching[0].file) if matching else "my-event.json"
    preview = shlex.join(["destination", "preview", "--mapping", made.name, file])
    click.echo(f"{made.path} is written. Look at it, then try:")
    click.echo(f"  destination lint\n  {preview}")
    disable = shlex.join(["destination", "mappings", "disable", made.name])
    click.echo("A service that runs takes it up within two seconds. To keep it off meanwhile:")
    click.echo(f"  {disable}")
    for other in others:
        click.echo(f"{other} fires on these events too: both are sent, and may be rewarded.")


def _shortened(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
