"""Failures inside the modules that hold expectations show their values."""

import pytest

pytest.register_assert_rewrite("model_answers", "scenario")
