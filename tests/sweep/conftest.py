import pytest

from jaxflow.models import load_model
from jaxflow.sweep import shards
from tests.tiny_text_model import model_folder


@pytest.fixture(scope="session")
def encoder():
    return load_model(model_folder())


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "SHARD_ROWS", 2)
