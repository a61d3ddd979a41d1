"""Effects, outcomes and steps are closed sets: `match` over them leaves nothing out. All values are frozen."""

from dataclasses import FrozenInstanceError, fields, is_dataclass
from importlib import import_module
from inspect import getmembers, isclass
from pkgutil import iter_modules
from types import ModuleType
from typing import get_args

import pytest

import fsm
from fsm import decide, effects, outcome
from tests.builders import WANTED


def classes(module: ModuleType) -> set[type]:
    """Those that the module defines itself."""
    return {member for _, member in getmembers(module, isclass) if member.__module__ == module.__name__}


SETS = [(effects, effects.Effect), (outcome, outcome.Outcome), (decide, decide.Step)]


@pytest.mark.parametrize(("module", "union"), SETS)
def test_every_class_of_the_module_is_in_its_set(module: ModuleType, union: object) -> None:
    assert set(get_args(union)) == classes(module)


@pytest.mark.parametrize("name", [found.name for found in iter_modules(fsm.__path__)])
def test_every_value_of_the_core_is_frozen(name: str) -> None:
    for member in filter(is_dataclass, classes(import_module(f"fsm.{name}"))):
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
