"""A log and its bundle, for the tests of a module."""

import pytest

from support.bundles import ExportedLog, export_log


@pytest.fixture(scope="module")
def exported(module_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> ExportedLog:
    """A log of two organizations, and the bundle of one. Do not change it."""
    return export_log(module_dsn, tmp_path_factory.mktemp("exported"))
