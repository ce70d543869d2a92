"""The cast of the admin's tests, and a browser that posts forms as they stand on the page."""

from html.parser import HTMLParser

import pytest
from django.urls import reverse

from chains.models import Chain, Prompt
from chains.runtime.spec.chain import parse_spec
from chains.runtime.steps.prompts import PromptSpec


class FormReader(HTMLParser):
    """What a browser without JavaScript would send with the first POST form that holds ``field``."""

    def __init__(self):
        super().__init__()
        self.forms, self.select, self.textarea, self.template = [], None, None, 0

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.template += tag == "template"
        if tag == "form":
            self.forms.append({})
        if not self.forms or self.template:
            return
        name, form = attrs.get("name"), self.forms[-1]
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
    reader = FormReader()
    reader.feed(response.content.decode())
    form = next(form for form in reader.forms if field in form)
    # A textarea's content begins behind the line break that Django puts after the tag.
    return {
        name: [v.removeprefix("\r\n").removeprefix("\n") for v in values] for name, values in form.items()
    }


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

    def submit(self, url, button="_continue", form=None, follow=False, **filled):
        """``filled`` uses the names of the page's fields; ``form`` is one that was opened before."""
        data = {**(form or self.form(url)), **filled, button: "x"}
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


@pytest.fixture(autouse=True)
def quick_passwords(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


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
