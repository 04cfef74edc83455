"""Tests of the shop and of its sandbox; `conftest.py` says what a test can ask for."""

import pytest

# Runs a test that uses the shop twice, once on each database.
both_databases = pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
