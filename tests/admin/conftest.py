"""The cast of the admin's tests, and a browser that posts forms as they stand on the page."""

import re
from html.parser import HTMLParser

import pytest
from django.urls import reverse

from chains.models import Chain, Prompt
from chains.runtime.spec.chain import parse_spec
from chains.runtime.steps.prompts import PromptSpec


class Form(dict):
    """What a browser would send, by name; and the names of all that can be filled in or pressed."""

    def __init__(self, values=(), names=()):
        super().__init__(values)
        self.names = set(names)

    def __or__(self, filled):
        return Form(super().__or__(filled), self.names)

    def has(self, name):
        """Also in a row that a script would add: the page has a blank one."""
        return name in self.names or re.sub(r"-\d+-", "-__prefix__-", name, count=1) in self.names


class FormReader(HTMLParser):
    """The forms of a page, as a browser without JavaScript would send them."""

    def __init__(self):
        super().__init__()
        self.forms, self.select, self.textarea, self.template = [], None, None, 0

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.template += tag == "template"
        if tag == "form":
            self.forms.append(Form())
        if not self.forms:
            return
        name, form = attrs.get("name"), self.forms[-1]
        if tag in ("input", "textarea", "select", "button") and name:
            form.names.add(name)
        if self.template:
            return
        if tag == "input" and name and attrs.get("type") not in ("submit", "button"):
            if attrs.get("type") != "checkbox" or "checked" in attrs:
                form.setdefault(name, []).append(attrs.get("value", "on" if "checked" in attrs else ""))
        elif tag == "textarea" and name:
            self.textarea = name
            form[name] = [""]
        elif tag == "select" and name:
            self.select = (name, "multiple" in attrs)
            form[name] = []
        elif tag == "option" and self.select:
            select, multiple = self.select
            if "selected" in attrs or (not multiple and not form[select]):
                form[select] = [*(form[select] if multiple else []), attrs.get("value", "")]

    def handle_endtag(self, tag):
        self.template -= tag == "template"
        self.textarea = None if tag == "textarea" else self.textarea
        self.select = None if tag == "select" else self.select

    def handle_data(self, data):
        if self.textarea:
            form = self.forms[-1]
            form[self.textarea] = [form[self.textarea][0] + data]


def read_form(response, field):
    """The first form that holds ``field``."""
    reader = FormReader()
    reader.feed(response.content.decode())
    form = next(form for form in reader.forms if field in form)
    for name, values in form.items():
        # A textarea's content begins behind the line break that Django puts after the tag.
        form[name] = [value.removeprefix("\r\n").removeprefix("\n") for value in values]
    return form


class Browser:
    """Opens a page, fills in its form and sends it."""

    def __init__(self, client):
        self.client = client

    def form(self, url, field="slug"):
        response = self.client.get(url)
        assert response.status_code == 200, response
        return read_form(response, field)

    def read(self, response, field="slug"):
        return read_form(response, field)

    def submit(self, url, button=None, form=None, follow=False, forged=None, **filled):
        """``filled`` uses the names of the page's fields, ``forged`` any that a browser would not send.

        ``form`` is one that was opened before. Without ``button`` it is what saves and stays, if there.
        """
        form = form or self.form(url)
        unknown = [name for name in (*filled, *filter(None, [button])) if not form.has(name)]
        if unknown:
            raise LookupError(f"The form on {url} has nothing named {', '.join(unknown)}.")
        pressed = button or ("_continue" if form.has("_continue") else None)
        data = {**form, **filled, **(forged or {}), **({pressed: "x"} if pressed else {})}
        return self.client.post(url, data, follow=follow)


def errors_in(response):
    """The errors of the change form and of its rows, by field."""
    form = response.context["adminform"].form
    found = {name: list(errors) for name, errors in form.errors.items()}
    for name in ("messages", "variables", "steps", "fallbacks", "configurable"):
        if name in form.fields:
            for index, row in enumerate(form[name].data.forms):
                found |= {f"{name}-{index}-{cell}": list(errors) for cell, errors in row.errors.items()}
    return found


@pytest.fixture
def editor(client, staff):
    client.force_login(staff)
    return Browser(client)


@pytest.fixture
def superuser(client, root):
    client.force_login(root)
    return Browser(client)


def prompt_spec(text="Tell a joke about {topic}."):
    return PromptSpec.model_validate({"messages": [{"role": "human", "content": text}]})


def chain_spec(**step):
    first = {"name": "answer", "prompt": {"slug": "joke"}, "provider": "demo", "model": "demo-echo"}
    return parse_spec({"steps": [{**first, **step}]})


@pytest.fixture
def prompt(db, alice):
    """A prompt with one version, published."""
    prompt = Prompt.objects.create(slug="joke")
    prompt.point("production", prompt.save_spec(prompt_spec(), author=alice), by=alice)
    return prompt


@pytest.fixture
def comedian(alice, demo, prompt):
    """A chain with one version that is not published."""
    chain = Chain.objects.create(slug="comedian")
    chain.save_spec(chain_spec(), author=alice)
    return chain


def url_of(versioned, page="change", **kwargs):
    name = f"admin:chains_{versioned._meta.model_name}_{page}"
    return reverse(name, args=[versioned.pk, *kwargs.values()])
