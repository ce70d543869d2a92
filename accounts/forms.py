"""Forms of the account pages and the admin."""

from django import forms

from accounts.keys import DEFAULT_DAYS, MAX_DAYS
from accounts.models import ApiKey


class NewKeyForm(forms.ModelForm):
    """The name and the lifetime of a new key. accounts.keys generates the key itself."""

    days = forms.IntegerField(
        label="Expires after (days)", min_value=1, max_value=MAX_DAYS, initial=DEFAULT_DAYS
    )

    class Meta:
        model = ApiKey
        fields = ["name"]
        help_texts = {"name": "Where the key is used, so that you know later which one to revoke."}
