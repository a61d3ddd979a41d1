"""Effects and outcomes are closed sets of frozen values: `match` over them leaves nothing out."""

from dataclasses import FrozenInstanceError, fields, is_dataclass
from inspect import getmembers, isclass
from types import ModuleType
from typing import get_args

import pytest

from fsm import decide, effects, outcome
from tests.builders import WANTED

SETS = [(effects, effects.Effect), (outcome, outcome.Outcome), (decide, decide.Step)]


@pytest.mark.parametrize(("module", "union"), SETS)
def test_every_class_of_the_module_is_in_its_set_and_frozen(module: ModuleType, union: object) -> None:
    classes = {member for _, member in getmembers(module, isclass) if member.__module__ == module.__name__}
    assert set(get_args(union)) == classes
    for member in classes:
        assert is_dataclass(member)
        assert member.__dataclass_params__.frozen  # type: ignore[attr-defined]  # not in typeshed


def test_equal_effects_are_one() -> None:
    one, other = (effects.EnsureRoutes(WANTED.routes, 1.0) for _ in range(2))
    assert one == other
    assert len({one, other}) == 1
    assert one != effects.EnsureRoutes(WANTED.routes, 2.0)


def test_an_effect_cannot_be_changed() -> None:
    effect = effects.RemoveDns("8b6cc2aa9a45", keep=())
    for field in fields(effect):
        with pytest.raises(FrozenInstanceError):
            setattr(effect, field.name, None)
