"""Forms made from JSON Schemas, friendly and hostile."""

import html
from typing import Any

import pytest
from django.http import QueryDict
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import BaseMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import ConfigurableField
from pydantic import BaseModel

from chains.playground.forms import ConfigForm, InputForm
from chains.runtime.wire.messages import messages_schema

MESSAGES = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "type": {"type": "string", "enum": ["human", "ai"]},
            "content": {"type": "string"},
        },
    },
}


def schema_of(*required: str, **properties):
    return {"type": "object", "properties": properties, "required": list(required)}


def fields_of(form):
    return {field.name: field for field in form.form_fields()}


def html_of(form, name):
    return str(fields_of(form)[name].bound)


def submitted(schema, query):
    form = InputForm(schema, data=QueryDict(query))
    assert form.is_valid(), form.errors
    return form.chain_input()


def test_each_type_gets_its_own_control():
    schema = schema_of(
        text={"type": "string"},
        whole={"type": "integer"},
        real={"type": "number"},
        flag={"type": "boolean"},
        tone={"type": "string", "enum": ["kind", "brief"]},
        chat=MESSAGES,
        data={"type": "object"},
    )
    form = InputForm(schema)
    assert {name: field.kind for name, field in fields_of(form).items()} == {
        "text": "text",
        "whole": "integer",
        "real": "number",
        "flag": "boolean",
        "tone": "choice",
        "chat": "messages",
        "data": "json",
    }
    assert html_of(form, "text").startswith("<textarea")
    assert 'type="number"' in html_of(form, "whole")
    assert 'step="any"' in html_of(form, "real")
    assert 'type="checkbox"' in html_of(form, "flag")
    assert html_of(form, "tone").startswith("<select")
    assert fields_of(form)["chat"].roles == ["human", "ai"]


def test_titles_descriptions_defaults_and_limits_reach_the_page():
    topic = {"type": "string", "title": "The topic", "description": "Of it.", "default": "bears"}
    form = InputForm(schema_of(topic=topic, age={"type": "integer", "minimum": 1, "maximum": 9}))
    field = fields_of(form)["topic"]
    assert (field.bound.label, field.bound.help_text) == ("The topic", "Of it.")
    assert "bears</textarea>" in html_of(form, "topic")
    assert 'min="1"' in html_of(form, "age")
    assert 'max="9"' in html_of(form, "age")


def test_a_required_field_is_marked_and_refused_when_empty():
    form = InputForm(schema_of("topic", topic={"type": "string"}), data=QueryDict("topic="))
    assert fields_of(form)["topic"].required
    assert 'aria-required="true"' in html_of(form, "topic")
    assert form.errors == {"topic": ["This field is required."]}


def test_a_submitted_form_becomes_typed_json():
    schema = schema_of(
        "text",
        text={"type": "string"},
        whole={"type": "integer"},
        real={"type": "number"},
        flag={"type": "boolean"},
        level={"enum": [1, 2, "two"]},
        chat=MESSAGES,
    )
    query = 'text= a%0Ab &whole=3&real=0.5&flag=on&level=2&chat=[{"type":"ai","content":"x"}]'
    assert submitted(schema, query) == {
        "text": " a\nb ",
        "whole": 3,
        "real": 0.5,
        "flag": True,
        "level": 2,
        "chat": [{"type": "ai", "content": "x"}],
    }


def test_what_is_left_empty_is_left_out():
    schema = schema_of(text={"type": "string"}, whole={"type": "integer"}, chat=MESSAGES)
    assert submitted(schema, "text=&whole=&chat=") == {}


def test_a_required_conversation_may_be_empty():
    assert submitted(schema_of("chat", chat=MESSAGES), "chat=") == {"chat": []}


def test_an_unticked_box_is_false_and_zero_is_a_number():
    schema = schema_of("flag", "whole", flag={"type": "boolean"}, whole={"type": "integer"})
    assert submitted(schema, "whole=0") == {"flag": False, "whole": 0}


def test_an_earlier_input_fills_the_form():
    schema = schema_of(topic={"type": "string", "default": "bears"}, chat=MESSAGES)
    form = InputForm(schema, value={"topic": "owls", "chat": [{"type": "ai", "content": "Hi"}]})
    assert "owls</textarea>" in html_of(form, "topic")
    assert "&quot;content&quot;: &quot;Hi&quot;" in html_of(form, "chat")


def test_references_and_optional_types_are_followed():
    schema = {
        "$defs": {"Tone": {"type": "string", "enum": ["kind"]}},
        **schema_of(
            tone={"$ref": "#/$defs/Tone"},
            age={"anyOf": [{"type": "integer"}, {"type": "null"}], "title": "Years"},
        ),
    }
    fields = fields_of(InputForm(schema))
    assert (fields["tone"].kind, fields["age"].kind) == ("choice", "integer")
    assert fields["age"].bound.label == "Years"


@pytest.mark.parametrize(
    "schema", [{}, {"type": "string"}, {"type": "array"}, {"type": "object", "properties": {}}]
)
def test_a_schema_without_properties_is_one_field_for_the_whole_input(schema):
    form = InputForm(schema)
    assert form.is_whole()
    assert list(fields_of(form)) == ["input"]


def test_a_whole_input_is_submitted_as_itself():
    assert submitted({"type": "string"}, "input=Hello") == "Hello"
    assert submitted({}, "input=[1,2]") == [1, 2]


@pytest.mark.parametrize(
    "hostile",
    [
        True,
        None,
        [],
        {"$ref": "#/properties/field"},
        {"$ref": "https://evil.test/schema.json"},
        {"$ref": "#/$defs/missing"},
        {"type": 7, "title": 7, "description": ["x"], "default": {"a": 1}},
        {"type": ["string", "integer"]},
        {"type": "string", "maxLength": "many", "default": ["not", "text"]},
        {"type": "integer", "minimum": "low", "default": "seven"},
        {"type": "boolean", "default": "yes"},
        {"enum": []},
        {"enum": [None, {"a": 1}, [], "", "x"], "default": "y"},
        {"type": "array", "items": True},
        {"type": "array", "items": {"properties": {"type": {"enum": "human"}, "content": 1}}},
        {"anyOf": "nonsense"},
        {"anyOf": [{"anyOf": [{"anyOf": [{"type": "null"}]}]}]},
    ],
)
def test_a_hostile_property_still_gives_a_field(hostile):
    form = InputForm(schema_of(field=hostile))
    assert html_of(form, "field")


@pytest.mark.parametrize(
    "name",
    ["__proto__", "querySelector", "fields", "errors", "rows", "clean", "data", "a b\"c'", "<b>"],
)
def test_any_property_name_is_an_input_of_that_name(name):
    schema = schema_of(**{name: {"type": "string"}})
    query = QueryDict(mutable=True)
    query[name] = "value"
    form = InputForm(schema, data=query)
    assert form.is_valid()
    assert form.chain_input() == {name: "value"}
    assert [field.element_id for field in form.form_fields()] == ["field-0"]


def test_markup_in_a_schema_is_shown_as_text():
    evil = "</textarea><script>alert(1)</script>"
    form = InputForm(schema_of(**{evil: {"type": "string", "title": evil, "default": evil}}))
    assert "<script>" not in html_of(form, evil)


@pytest.mark.parametrize(
    "text", ["[1,", "[" * 100_000, "1" * 5_000, '"\\u0000"', '"\\ud800"', "NaN", "1e400"]
)
def test_json_that_cannot_be_kept_is_an_error_at_its_field(text):
    query = QueryDict(mutable=True)
    query["data"] = text
    form = InputForm(schema_of(data={}), data=query)
    assert form.errors == {"data": ["Enter a valid JSON."]}


def test_a_fault_of_the_chain_is_shown_at_its_field():
    form = InputForm(schema_of(chat=MESSAGES), data=QueryDict("chat=[]"))
    form.add_faults([{"loc": ["chat", 0, "type"], "msg": "Not so."}, {"loc": ["ghost"], "msg": "Unknown."}])
    assert form.errors["chat"] == ["0.type: Not so."]
    assert form.non_field_errors() == ["Unknown."]


def test_options_that_are_no_strings_keep_their_type():
    form = InputForm(schema_of(level={"enum": [1, "two"]}, tone={"enum": ["kind"]}))
    assert form.typed_choices() == [("level", [("1", 1), ("two", "two")])]


# --- Schemas as LangChain and pydantic write them -----------------------------------------------


def conversation_schema():
    return ChatPromptTemplate.from_messages([MessagesPlaceholder("chat")]).get_input_jsonschema()


class AnyMessages(BaseModel):
    chat: list[BaseMessage]


@pytest.mark.parametrize(
    "schema",
    [
        conversation_schema(),
        schema_of("chat", chat=messages_schema(system=True)),
        AnyMessages.model_json_schema(),
    ],
    ids=["LangChain's", "of a configured chain", "of any message"],
)
def test_a_person_writes_as_human_and_ai_and_as_system_where_that_is_allowed(schema):
    [field] = InputForm(schema).form_fields()
    assert (field.kind, field.roles) == ("messages", ["human", "ai"])
    [field] = InputForm(schema, system_messages=True).form_fields()
    assert field.roles == ["human", "ai", "system"]


def test_a_chat_model_takes_messages_and_an_earlier_text():
    form = InputForm(FakeListChatModel(responses=[]).get_input_jsonschema(), value="Hello")
    assert form.is_whole()
    [field] = form.form_fields()
    assert (field.kind, field.bound.label) == ("messages", "Input")
    assert "&quot;Hello&quot;" in str(field.bound)


def test_a_list_of_other_things_stays_json():
    items = {"type": "object", "properties": {"type": {"enum": ["tool"]}, "content": {"type": "string"}}}
    form = InputForm(schema_of(calls={"type": "array", "items": items}))
    assert fields_of(form)["calls"].kind == "json"


class Inner(BaseModel):
    """Something inside."""

    size: int = 1


class Outer(BaseModel):
    nested: Inner
    sizes: list[Inner] = []


def test_nested_objects_stay_json_and_are_called_by_their_own_names():
    fields = fields_of(InputForm(Outer.model_json_schema()))
    assert {name: (f.kind, f.bound.label) for name, f in fields.items()} == {
        "nested": ("json", "Nested"),
        "sizes": ("json", "Sizes"),
    }


@pytest.mark.parametrize(
    "asked", [{"widget": {"type": "base64file"}}, {"extra": {"widget": {"type": "base64file"}}}]
)
def test_a_file_is_a_text_that_a_script_writes(asked):
    schema = schema_of("file", file={"type": "string", **asked})
    assert fields_of(InputForm(schema))["file"].kind == "file"
    assert html_of(InputForm(schema), "file").startswith("<textarea")
    assert submitted(schema, "file=YWJj") == {"file": "YWJj"}


def test_a_file_may_be_the_whole_input():
    form = InputForm({"type": "string", "widget": {"type": "base64file"}})
    assert form.is_whole()
    assert fields_of(form)["input"].kind == "file"


def test_a_history_of_pairs_is_written_as_messages():
    pair = {"type": "array", "minItems": 2, "maxItems": 2, "prefixItems": [{"type": "string"}] * 2}
    history = {"type": "array", "items": pair, "widget": {"type": "chat", "input": "question"}}
    field = fields_of(InputForm(schema_of(history=history)))["history"]
    assert (field.kind, field.is_pairs, field.roles) == ("messages", True, ["human", "ai"])


@pytest.mark.parametrize("widget", [True, "base64file", {}, {"type": 7}, {"type": "unknown"}])
def test_a_widget_that_is_none_changes_nothing(widget):
    schema = schema_of(field={"type": "string", "widget": widget, "extra": widget})
    assert fields_of(InputForm(schema))["field"].kind == "text"


# --- What callers may configure -----------------------------------------------------------------


def config_schema(**properties):
    return {
        "$defs": {"Configurable": {"type": "object", "properties": properties}},
        "properties": {"configurable": {"$ref": "#/$defs/Configurable", "default": None}},
    }


def chosen(query, **properties):
    form = ConfigForm(config_schema(**properties), data=QueryDict(query))
    assert form.is_valid(), form.errors
    return form.chosen()


OPTIONS: dict[str, Any] = {
    "model": {"enum": ["small", "large"], "default": "small"},
    "heat": {"type": "number", "default": 0.5},
    "terse": {"type": "boolean"},
    "tone": {"type": "string"},
}


def test_only_what_differs_from_the_defaults_is_chosen():
    untouched = "configurable-model=small&configurable-heat=0.5&configurable-tone="
    assert chosen(untouched, **OPTIONS) == {}
    touched = "configurable-model=large&configurable-heat=0&configurable-terse=on&configurable-tone=dry"
    assert chosen(touched, **OPTIONS) == {"model": "large", "heat": 0, "terse": True, "tone": "dry"}


def test_what_was_chosen_before_is_in_sight():
    assert not ConfigForm(config_schema(**OPTIONS)).is_touched()
    form = ConfigForm(config_schema(**OPTIONS), value={"model": "large"})
    assert form.is_touched()
    assert '<option value="large" selected>' in html_of(form, "model")


def test_a_choice_with_a_default_offers_no_empty_one():
    assert 'value=""' not in html_of(ConfigForm(config_schema(**OPTIONS)), "model")


def test_what_langchain_lets_callers_configure_becomes_fields():
    model = FakeListChatModel(responses=["a"])
    alternatives = model.configurable_alternatives(
        ConfigurableField(id="voice", name="The voice"), default_key="plain", loud=model
    )
    [field] = ConfigForm(alternatives.get_config_jsonschema(include=["configurable"])).form_fields()
    assert (field.name, field.kind, field.bound.label) == ("voice", "choice", "The voice")


@pytest.mark.parametrize(
    "hostile", [{}, {"properties": []}, {"properties": {"configurable": 3}}, {"$ref": "#"}]
)
def test_a_chain_that_offers_no_choice_has_no_fields(hostile):
    form = ConfigForm(hostile)
    assert list(form.form_fields()) == []
    assert not form.is_touched()


@pytest.mark.parametrize("typed", ["[" * 100_000, "9" * 5000, '{"k": [true, null]}'])
def test_json_is_shown_again_as_it_was_typed(typed):
    query = QueryDict(mutable=True)
    query["data"] = typed
    form = InputForm(
        schema_of("data", "other", data={"type": "object"}, other={"type": "string"}), data=query
    )

    assert not form.is_valid()
    assert typed in html.unescape(html_of(form, "data"))
