"""The sale's tests run on the pack whose periods are seconds."""

from __future__ import annotations

import pytest

from tests.api.sale_scene import Sale
from tests.fix_api import Served, Town


@pytest.fixture
def demo_pack(town: Town) -> None:
    town.settings = town.settings.model_copy(update={"policy_pack": "demo"})


@pytest.fixture
def sale(demo_pack: None, served: Served) -> Sale:
    return Sale(served)
