import pytest

pytest.register_assert_rewrite("tests.stream.log.contract", "tests.stream.log.embedded")
