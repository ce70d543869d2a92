"""Immutable numbered versions and movable labels, the base of prompts and chains."""

import re
from typing import Any, Generic, Protocol, Self, TypeVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models, transaction

from accounts.models import User
from chains.models.providers import SlugField, slug_validator
from chains.runtime.errors import ChainNotFound
from chains.runtime.names import LATEST, SLUG_PATTERN

REF = re.compile(SLUG_PATTERN.removesuffix("$"))


class Numbered(Protocol):
    """What this module needs of a version's class, for the type checker."""

    @property
    def number(self) -> Any: ...


V = TypeVar("V", bound=Numbered)


class Versioned(Generic[V], models.Model):
    """Base of a model with versions of the class ``V`` and with labels.

    The foreign keys of the version's and the label's class define ``versions`` and ``labels``.
    """

    slug = SlugField()
    name = models.CharField(max_length=200, blank=True)
    description = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    versions: Any
    labels: Any

    class Meta:
        abstract = True
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.slug

    @property
    def noun(self) -> str:
        """The name of this model in the records of label moves."""
        return str(self._meta.model_name)

    def latest(self) -> V | None:
        version: V | None = self.versions.order_by("-number").first()
        return version

    def at(self, ref: str) -> V:
        """Return the version that a ref names: a number, a label, or ``latest``. Raises ChainNotFound."""
        version: V | None = None
        if not REF.fullmatch(ref):
            # Do not query: some databases raise for unusual characters.
            pass
        elif ref == LATEST:
            version = self.latest()
        elif ref.isascii() and ref.isdigit():
            # No version has a number of ten digits, and a database may raise for one.
            version = self.versions.filter(number=int(ref)).first() if len(ref) < 10 else None
        else:
            version = self.versions.filter(labels__name=ref).first()
        if version is None:
            raise ChainNotFound(f"{self.slug}@{ref}")
        return version

    def add_version(self, *, author: User | None, note: str = "", **content: Any) -> V:
        """Save the next version and return it. The row lock keeps two editors from using the same number."""
        with transaction.atomic():
            type(self)._default_manager.select_for_update().get(pk=self.pk)
            latest = self.latest()
            number = latest.number + 1 if latest else 1
            version: V = self.versions.create(number=number, author=author, note=note, **content)
            return version

    def point(self, label: str, version: V, *, by: User | None) -> None:
        """Move or create a label, and record the move."""
        with transaction.atomic():
            type(self)._default_manager.select_for_update().get(pk=self.pk)
            row = self.labels.filter(name=label).select_related("version").first()
            LabelMove.objects.create(
                kind=self.noun,
                slug=self.slug,
                label=label,
                from_number=row.version.number if row else None,
                to_number=version.number,
                by=by,
            )
            self.labels.update_or_create(name=label, defaults={"version": version})


class Version(models.Model):
    """Base of an immutable version. Subclasses add the content and a foreign key named ``parent``."""

    number = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    note = models.CharField(max_length=200, blank=True)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
        ordering = ["-number"]

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise ValidationError("A version never changes: save a new one.")
        super().save(*args, **kwargs)


class Label(models.Model):
    """Base of a label, a named pointer to a version."""

    name = models.CharField(max_length=64, validators=[slug_validator])
    moved_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.name == LATEST or self.name.isdigit():
            raise ValidationError({"name": f"{self.name!r} is kept by the system."})


class LabelMoveQuerySet(models.QuerySet["LabelMove"]):
    def of(self, versioned: Versioned) -> Self:
        return self.filter(kind=versioned.noun, slug=versioned.slug)


class LabelMove(models.Model):
    """The record of one move of a label. It names the chain or prompt as text, so it survives a deletion."""

    kind = models.CharField(max_length=32)
    slug = models.CharField(max_length=64)
    label = models.CharField(max_length=64)
    from_number = models.PositiveIntegerField(null=True, blank=True)
    to_number = models.PositiveIntegerField()
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    at = models.DateTimeField(auto_now_add=True)

    objects = LabelMoveQuerySet.as_manager()

    class Meta:
        ordering = ["-at", "-pk"]
        indexes = [models.Index(fields=["kind", "slug"])]

    def __str__(self) -> str:
        return f"{self.slug}: {self.label} {self.from_number or 'nothing'} → {self.to_number}"
