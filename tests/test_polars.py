"""Frames: the rows that come back, their types, and nothing bought twice."""

import datetime as dt
import doctest
import inspect

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import enricher.polars
from enricher.errors import InputError, UsageError
from tests.test_library import GRID, world

__all__ = ["world"]

COLUMNS = ["enrichment_status", "enrichment_error"]


@pytest.fixture
def frame(world):
    return pl.read_csv("companies.csv", infer_schema=False)


@pytest.mark.parametrize("name", enricher.polars.__all__)
def test_every_name_is_documented_and_its_example_runs(name, world):
    doc = inspect.getdoc(getattr(enricher.polars, name)) or ""
    assert "Raises:" in doc
    assert "credits" in doc or "seconds" in doc
    names = {"enricher": enricher, "pl": pl, "GRID": GRID}
    example = doc.partition("Example:")[2]
    test = doctest.DocTestParser().get_doctest(example, names, name, None, 0)
    assert test.examples
    said: list[str] = []
    assert doctest.DocTestRunner(verbose=False).run(test, out=said.append).failed == 0, said


def test_a_frame_and_the_same_file_are_bought_once(world, frame):
    enricher.run("companies.csv", grid=GRID, output="out.csv", checkpoint="all.db")
    bought = len(world.workspace.runs)
    enriched = on(frame).run(grid=GRID, checkpoint="all.db")
    assert len(world.workspace.runs) == bought
    assert_frame_equal(enriched.select(frame.columns), frame)
    assert enriched.columns[-2:] == COLUMNS
    (path,) = enricher.export("all.db", "out.parquet", job=enricher.jobs("all.db")[1].job)
    assert_frame_equal(enriched, pl.read_parquet(str(path)))


def test_types_are_kept(world):
    frame = pl.DataFrame(
        {
            "Company Name": ["Lowe's", "L'Oréal"],
            "Website": ["lowes.com", "loreal.com"],
            "n": pl.Series([1, None], dtype=pl.Int8),
            "kind": pl.Series(["a", "b"], dtype=pl.Categorical),
            "at": [dt.datetime(2026, 1, 2, tzinfo=dt.UTC), None],
            "tags": [["x"], []],
            "place": [{"city": "Paris"}, None],
        }
    )
    enriched = on(frame).run(grid=GRID, checkpoint="a.db")
    assert_frame_equal(enriched.select(frame.columns), frame)


def test_a_lazy_frame_is_streamed_and_comes_back_as_a_scan(world, frame):
    eager = on(frame).run(grid=GRID, checkpoint="a.db")
    bought = len(world.workspace.runs)
    lazy = on(frame.lazy()).run(grid=GRID, checkpoint="a.db")
    assert isinstance(lazy, pl.LazyFrame)
    assert_frame_equal(lazy.collect(), eager)
    assert len(world.workspace.runs) == bought


def on(frame: pl.DataFrame | pl.LazyFrame):
    """The namespace, of which no type checker knows."""
    return frame.enricher  # type: ignore[union-attr, unused-ignore]


class Foreign:
    """A table of another library, which polars takes over by Arrow's stream."""

    def __init__(self, frame):
        self.__arrow_c_stream__ = frame.__arrow_c_stream__


def test_other_tables_are_taken_over(world, frame):
    plan = enricher.polars.plan(Foreign(frame), grid=GRID, checkpoint="a.db")
    assert plan.census.total == frame.height
    with pytest.raises(UsageError, match="A dict is no table"):
        enricher.polars.run({"a": [1]}, grid=GRID, checkpoint="a.db")


def test_a_stopped_job_shows_what_there_is_and_goes_on(world, frame):
    first = on(frame).run(grid=GRID, checkpoint="a.db", max_runs=10)
    assert first["enrichment_status"].to_list().count("pending") > 0
    rest = enricher.resume("a.db", base_url=world.base_url)  # the copy of the frame is still there
    assert rest.rows.completed == 39
    enriched = on(frame).run(grid=GRID, checkpoint="a.db")
    assert enriched["enrichment_status"].to_list().count("completed") == 39
    assert len(world.workspace.runs) == 36


def test_another_night_is_the_same_job_and_leaves_one_copy(world, frame, tmp_path):
    on(frame.head(10)).run(grid=GRID, checkpoint="a.db")
    bought = len(world.workspace.runs)
    on(frame.head(12)).run(grid=GRID, checkpoint="a.db")
    assert len(world.workspace.runs) <= bought + 2
    assert len(enricher.jobs("a.db")) == 1
    left = sorted(path.name for path in tmp_path.iterdir() if "input" in path.name)
    assert len(left) == 1, left
    assert not list(tmp_path.glob("*.output-*"))


def test_an_output_that_is_named_stays(world, frame, tmp_path):
    enriched = on(frame).run(grid=GRID, checkpoint="a.db", output="kept.parquet")
    assert_frame_equal(pl.read_parquet("kept.parquet"), enriched)
    with pytest.raises(UsageError, match="Parquet file"):
        on(frame).run(grid=GRID, checkpoint="a.db", output="kept.csv")


def test_what_no_file_can_hold_is_told(world, tmp_path):
    frame = pl.DataFrame({"Company Name": ["a"], "Website": ["b"], "thing": [object()]})
    with pytest.raises(InputError, match="cannot be written to a file"):
        on(frame).run(grid=GRID, checkpoint="a.db")
    with pytest.raises(UsageError, match="needs a checkpoint"):
        on(frame).run(grid=GRID)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["companies.csv"]
