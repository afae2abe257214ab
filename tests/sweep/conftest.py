import pytest

from jaxflow.models import load_encoder
from tests.tiny_text_model import model_folder


@pytest.fixture(scope="session")
def encoder():
    return load_encoder(model_folder())
