"""How a provider is asked: a setting for each of its habits, and the words for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms

from chains.models import LearnedHabit, Provider
from chains.runtime.providers.habits import AUTO, LEFT_OUT, SETTINGS


@dataclass(frozen=True, kw_only=True)
class HabitWords:
    label: str
    help: str


HABITS: Mapping[str, HabitWords] = {
    "streaming": HabitWords(label="Streaming", help="Whether answers may come piece by piece."),
    "usage_in_streams": HabitWords(
        label="Token counts of streams",
        help="Some servers refuse stream_options. Without it, costs are unknown.",
    ),
    "token_limit": HabitWords(
        label="Token limit", help="The name under which the provider takes the most tokens of an answer."
    ),
    "sampling": HabitWords(
        label="Sampling parameters",
        help="temperature, top_p and the like, which some reasoning models refuse.",
    ),
    "json_schema": HabitWords(label="JSON Schema", help="How an answer that fits a schema is asked for."),
    "api": HabitWords(label="API", help="Some of OpenAI's models are only served by /responses."),
}


def value_words(habit: str, value: str | None) -> str:
    """The words for a habit's value; ``None`` is one that proved wrong."""
    words = {AUTO: "Automatic", LEFT_OUT: "Left out", None: "Forgotten: what was learned before is wrong"}
    return words.get(value) or SETTINGS.get(habit, {}).get(str(value), str(value))


def habit_words(habit: str) -> str:
    return HABITS[habit].label if habit in HABITS else f"The parameter {habit}"


def habit_field(habit: str) -> forms.ChoiceField:
    values = ((value, value_words(habit, value)) for value in (AUTO, *SETTINGS[habit]))
    words = HABITS[habit]
    return forms.ChoiceField(
        choices=list(values), required=False, initial=AUTO, label=words.label, help_text=words.help
    )


class HabitsForm(forms.ModelForm):
    """The settings. ``Provider.habits`` has those that are not automatic."""

    streaming = habit_field("streaming")
    usage_in_streams = habit_field("usage_in_streams")
    token_limit = habit_field("token_limit")
    sampling = habit_field("sampling")
    json_schema = habit_field("json_schema")
    api = habit_field("api")

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.initial.update({name: self.instance.habits.get(name, AUTO) for name in SETTINGS})

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        asked = {name: cleaned.get(name) or AUTO for name in SETTINGS}
        self.instance.habits = {name: value for name, value in asked.items() if value != AUTO}
        return cleaned


@dataclass(frozen=True, kw_only=True)
class LearnedRow:
    """A learned habit, in words."""

    row: LearnedHabit
    habit: str
    value: str


def learned_rows(provider: Provider) -> list[LearnedRow]:
    return [
        LearnedRow(row=row, habit=habit_words(row.habit), value=value_words(row.habit, row.value))
        for row in provider.learned.all()
    ]


def settings_text(provider: Provider) -> str:
    """The settings that are not automatic, for people who may not change them."""
    told = (f"{habit_words(name)}: {value_words(name, value)}" for name, value in provider.habits.items())
    return "; ".join(told) or "Automatic"
