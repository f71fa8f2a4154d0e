import pytest

from jobs.runtime.conf import cleaning_lists
from udfs.cleaning.lines import LineRules
from udfs.cleaning.personal_data import KINDS, PersonalDataPlan
from udfs.cleaning.phrases import compiled


@pytest.fixture(scope="session")
def rules():
    return LineRules(compiled(cleaning_lists().phrases), min_repeated_line_chars=30)


@pytest.fixture(scope="session")
def nothing():
    """Look for no personal data."""
    return PersonalDataPlan(())


@pytest.fixture(scope="session")
def masking():
    """Mask personal data of every kind."""
    lists = cleaning_lists()
    return PersonalDataPlan(tuple((kind, "mask") for kind in KINDS), lists.phone_words, lists.regions)
