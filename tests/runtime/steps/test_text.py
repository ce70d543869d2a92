"""The step kind ``text``: a template with values written in, without a model."""

import pytest

from chains.runtime.errors import InvalidSpec, OutputInvalid
from chains.runtime.events import Step
from chains.runtime.providers.attempts import MAX_ANSWER_CHARS
from chains.runtime.spec.chain import parse_spec
from chains.runtime.steps.text import PlannedText
from tests.runtime.helpers import BOTH, SEEN_BY_LATER_STEPS, plan, prompt, run, step, target
from tests.upstream import answers

LLM = {"name": "answer", "prompt": {"slug": "joke"}, "provider": "demo", "model": "demo-echo"}


def text(template="Dear {topic}", name="letter"):
    return PlannedText(name=name, template=template)


def written(template, name="letter"):
    return {"kind": "text", "name": name, "template": template}


# --- As it runs --------------------------------------------------------------------------------


@BOTH
async def test_a_text_alone_is_the_answer_in_one_piece_and_calls_no_model(streaming):
    ran = await run(plan(text("Dear {topic}, {{yes}}.\n")), streaming=streaming)

    assert ran.output == "Dear cats, {yes}.\n"
    assert ran.chunks == (["Dear cats, {yes}.\n"] if streaming else [])
    assert (ran.calls, ran.finish_reason) == ([], "")


@BOTH
async def test_a_text_before_a_model_is_what_its_prompt_sees(upstream, streaming):
    upstream.script(answers("Done"))

    ran = await run(plan(text(), step(target(upstream), asks="Say: {letter}")), streaming=streaming)

    assert upstream.requests[0].body["messages"][0]["content"] == "Say: Dear cats"
    assert ran.output == "Done"


@BOTH
async def test_a_text_between_two_models_sees_the_one_and_is_seen_by_the_other(upstream, streaming):
    upstream.script(answers("first"), answers("last"))
    chain = plan(
        step(target(upstream), name="draft"), text("<{draft}>"), step(target(upstream), asks="{letter}")
    )

    ran = await run(chain, streaming=streaming)

    assert upstream.requests[1].body["messages"][0]["content"] == "<first>"
    assert ran.output == "last"


@BOTH
@SEEN_BY_LATER_STEPS
async def test_a_text_at_the_end_sees_an_answer_as_a_prompt_does(upstream, parser, answer, seen, streaming):
    upstream.script(answers(answer))

    ran = await run(
        plan(step(target(upstream), parser=parser), text("{answer} for {topic}")), streaming=streaming
    )

    assert ran.output == f"{seen} for cats"
    assert ran.chunks == ([ran.output] if streaming else [])
    assert [call.step for call in ran.calls] == ["answer"]


@BOTH
@pytest.mark.parametrize("template", ["", "{topic}"])
async def test_an_empty_text_has_no_piece_and_is_still_a_text(template, streaming):
    ran = await run(plan(text(template)), {"topic": ""}, streaming=streaming)

    assert (ran.output, ran.chunks) == ("", [])


async def test_an_empty_text_is_seen_as_empty():
    assert (await run(plan(text("", name="gap"), text("[{gap}]")), {})).output == "[]"


async def test_its_events_name_its_kind_and_what_went_in_and_came_out():
    ran = await run(plan(text()))

    started, finished = (event for event in ran.events if isinstance(event, Step))
    assert (started.path, started.kind, started.status) == ("letter", "text", "started")
    assert started.input == {"topic": "cats"}
    assert (finished.kind, finished.status, finished.output) == ("text", "finished", "Dear cats")


async def test_a_text_may_be_as_long_as_a_models_answer():
    ran = await run(plan(text()), {"topic": "x" * (MAX_ANSWER_CHARS - 5)})

    assert len(ran.output) == MAX_ANSWER_CHARS

    with pytest.raises(
        OutputInvalid, match=f"The text 'letter' is longer than {MAX_ANSWER_CHARS} characters"
    ):
        await run(plan(text()), {"topic": "x" * (MAX_ANSWER_CHARS - 4)})


@pytest.mark.parametrize("streaming", [True, False])
async def test_texts_that_repeat_each_other_do_not_fill_the_memory(streaming):
    steps = [text("{topic}" * 1000, name="s0")]
    steps += [text(f"{{s{i}}}" * 1000, name=f"s{i + 1}") for i in range(10)]

    with pytest.raises(OutputInvalid):
        await run(plan(*steps), streaming=streaming)


# --- What it asks for, what comes out, what identifies it --------------------------------------


def test_its_variables_are_required_strings_as_undeclared_ones_of_a_prompt_are():
    names = "{b} {a} {b} {{c}}"

    schema = plan(text(names)).input_schema

    assert schema == plan(step(asks=names)).input_schema
    assert (list(schema["properties"]), schema["required"]) == (["b", "a"], ["b", "a"])


def test_what_earlier_steps_give_is_not_asked_for():
    chain = plan(text("{topic}", name="first"), step(asks="{first} {style}"), text("{first} {answer} {end}"))

    assert chain.input_schema["required"] == ["topic", "style", "end"]


@pytest.mark.parametrize("text_first", [True, False])
async def test_a_text_takes_the_type_that_a_prompt_gives_to_a_variable(text_first):
    number = step(name="asks", asks=prompt("{topic}", variables=({"name": "topic", "type": "integer"},)))
    steps = [text(), number] if text_first else [number, text()]

    assert plan(*steps).input_schema["properties"]["topic"]["type"] == "integer"
    assert (await run(plan(number, text()), {"topic": 7})).output == "Dear 7"


def test_what_comes_out_is_a_text():
    assert plan(step(parser="json"), text()).output_schema == plan(step()).output_schema


def test_its_name_and_its_template_identify_it():
    digests = {plan(text(*about)).digest for about in [("a",), ("b",), ("a", "other")]}

    assert len(digests) == 3
    assert text("a").behaviour == ["text", "letter", "a"]


# --- As data -----------------------------------------------------------------------------------


def test_a_text_is_stored_and_read_back_beside_a_model_call():
    spec = parse_spec({"steps": [LLM, written("Dear {name}")]})
    stored = spec.model_dump(mode="json")

    assert [step.kind for step in spec.steps] == ["llm", "text"]
    assert stored["steps"][1] == written("Dear {name}")
    assert parse_spec(stored) == spec


def test_it_names_nothing():
    assert list(parse_spec({"steps": [written("Dear {name}")]}).references()) == []


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        (
            written("Hi\n {x.y}"),
            "steps → 1 → template: The template has {x.y}, which is not a plain {name}: write '{{'",
        ),
        (written("Hi\n {"), "steps → 1 → template: The template has a '{' that is not closed"),
        (written("Hi\n }"), "steps → 1 → template: The template has a single '}': write '}}' for a brace"),
        (
            written("x" * 65537),
            "steps → 1 → template: The template is longer than 65536 characters (line 1, ",
        ),
        (written("".join(f"{{v{i}}}" for i in range(65))), "steps → 1 → template: At most 64 variables."),
        (written(None), "steps → 1 → template: Input should be a valid string"),
        ({"kind": "text", "name": "letter"}, "steps → 1 → template: Field required"),
        (written("", name="a b"), "steps → 1 → name: "),
        ({**written("x"), "prompt": {"slug": "joke"}}, "steps → 1 → prompt: Extra inputs"),
        ({**LLM, "template": "x"}, "steps → 1 → template: Extra inputs"),
        ({**LLM, "prompt": {"slug": "../x"}}, "steps → 1 → prompt → slug: "),
        ({"kind": "letter"}, "steps → 1 → kind: There is no step kind 'letter'; there are: llm, text."),
        (5, "steps → 1: "),
    ],
)
def test_a_fault_is_told_at_its_place_in_the_step(step, fault):
    with pytest.raises(InvalidSpec) as caught:
        parse_spec({"steps": [{**LLM, "name": "first"}, step]})

    assert str(caught.value).startswith(fault)


def test_a_template_fault_has_line_and_column():
    with pytest.raises(InvalidSpec, match=r"\(line 2, column 2\)"):
        parse_spec({"steps": [written("Hi\n {")]})


def test_nothing_of_it_can_be_chosen():
    heat = {"field": "temperature", "name": "heat", "step": "letter"}

    with pytest.raises(InvalidSpec, match="a step of the kind 'text' has no temperature to choose"):
        parse_spec({"steps": [written("x")], "configurable": [heat]})
