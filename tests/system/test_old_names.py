"""Files, scripts and imports of version 0.1 still work: it wrote `tests/data/version_0_1`."""

import json
import sys
from dataclasses import replace
from importlib import import_module

import pytest

from cyclesiam.config_aliases import REMOVED_FIELDS, RENAMED_FIELDS, rename_fields
from cyclesiam.moved_modules import MOVED_MODULES
from cyclesiam.tracking import online_filter
from cyclesiam.tracking.config import CONFIG_FILE, TrackerConfig, load_config
from cyclesiam.tracking.online_filter import OnlineFilterConfig
from cyclesiam.training.checkpoint import fill_fields, to_plain
from cyclesiam.training.objective import ObjectiveConfig
from cyclesiam.training.recipes import RECIPES
from cyclesiam.training.trainer import TrainingConfig
from support import ROOT

OLD = ROOT / "tests" / "data" / "version_0_1"


def test_old_names_of_fields_give_the_same_config_and_a_warning():
    with pytest.warns(DeprecationWarning, match=r"OnlineFilterConfig\.every is now .*interval"):
        old = OnlineFilterConfig(every=7)  # pyright: ignore[reportCallIssue]
    assert old == OnlineFilterConfig(update_interval=7)
    with pytest.warns(DeprecationWarning, match="most_shared"):  # where all fields are given, too
        changed = replace(TrackerConfig(), most_shared=0.4)  # pyright: ignore[reportCallIssue]
    assert changed == TrackerConfig(max_target_overlap=0.4)


def test_a_name_that_never_was_is_an_error():
    with pytest.raises(TypeError, match="evry"):
        OnlineFilterConfig(evry=7)  # pyright: ignore[reportCallIssue]


def test_a_removed_field_may_only_be_what_it_was_by_default():
    assert ObjectiveConfig(template_from="last") == ObjectiveConfig()  # pyright: ignore[reportCallIssue]
    with pytest.raises(ValueError, match="no 'template_from' any more"):
        ObjectiveConfig(template_from="turn")  # pyright: ignore[reportCallIssue]


def test_old_names_of_classes_are_those_of_today():
    with pytest.warns(DeprecationWarning, match="FilterConfig is now OnlineFilterConfig"):
        assert online_filter.FilterConfig is OnlineFilterConfig  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(AttributeError, match="Nothing"):
        _ = online_filter.Nothing  # pyright: ignore[reportAttributeAccessIssue]


def test_settings_of_a_tracker_are_read_as_they_were_written(tmp_path, recwarn):
    text = (OLD / CONFIG_FILE).read_text()
    (tmp_path / CONFIG_FILE).write_text(text)
    assert load_config(tmp_path) == TrackerConfig()
    changed = json.loads(text)
    changed["online"]["every"] = 9
    changed["points"]["grid"] = 0
    (tmp_path / CONFIG_FILE).write_text(json.dumps(changed))
    read = load_config(tmp_path)
    assert (read.online_filter.update_interval, read.median_flow.points_per_side) == (9, 0)
    assert not recwarn.list  # a file that the user did not write need not be mended


@pytest.mark.parametrize("name", json.loads((OLD / "recipes.json").read_text()))
def test_the_recipe_in_a_half_done_run_is_the_recipe_of_today(name):
    written = json.loads((OLD / "recipes.json").read_text())[name]
    recipe = to_plain(RECIPES[name]())
    assert fill_fields(rename_fields(TrainingConfig, written), recipe) == recipe


def test_every_alias_leads_to_a_field():
    """Also of classes that no file holds; `Curriculum` is the state, not the config."""
    written = json.loads((OLD / "recipes.json").read_text())["masks"]
    rename_fields(TrainingConfig, written)
    assert not {name for old in RENAMED_FIELDS.values() for name in old} & {"", None}
    for class_name, removed in REMOVED_FIELDS.items():
        assert not removed.keys() & RENAMED_FIELDS.get(class_name, {}).keys()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("cyclesiam.data.benchmark_readers", "BOX_READERS"),
        ("cyclesiam.data.imagenet_video", "ImageNetVideo"),
        ("cyclesiam.data.otb", "OTB"),
        ("cyclesiam.data.segmentation_datasets", "DAVIS2017"),
        ("cyclesiam.data.tracking_datasets", "GOT10k"),
        ("cyclesiam.data.vot", "VOT"),
        ("cyclesiam.tracking.ahead", "Ahead"),
        ("cyclesiam.tracking.colour_model", "ColourConfig"),
        ("cyclesiam.tracking.points", "PointsConfig"),
        ("cyclesiam.tracking.recovery", "RecoveryConfig"),
        ("cyclesiam.tracking.settings", "TrackerConfig"),
        ("cyclesiam.training.labels", "LabelConfig"),
        ("cyclesiam.training.lessons", "LessonConfig"),
        ("cyclesiam.training.optimisation", "OptimiserConfig"),
    ],
)
def test_modules_that_moved_warn_and_answer(module, name, monkeypatch):
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.warns(DeprecationWarning, match=f"{module} is now"):
        moved = import_module(module)
    assert getattr(moved, name).__name__ if name[0] != "B" else getattr(moved, name)
    with pytest.raises(AttributeError, match="nothing"):
        _ = moved.nothing


def test_all_moved_modules_are_tried_above():
    rows = test_modules_that_moved_warn_and_answer.pytestmark[0].args[1]
    assert {module for module, _ in rows} == MOVED_MODULES.keys()


def test_a_function_that_was_documented_answers_by_its_old_name():
    averaging = import_module("cyclesiam.models.averaging")
    with pytest.warns(DeprecationWarning, match="mean_network is now average_networks"):
        assert averaging.mean_network is averaging.average_networks
