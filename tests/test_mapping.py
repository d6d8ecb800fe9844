"""Names to columns, rows to inputs, inputs to keys. The keys are frozen: they are what was paid."""

import string
from dataclasses import fields, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from enricher.api.wiring import stored_mapping
from enricher.checkpoint import JobRecord
from enricher.errors import MappingError
from enricher.mapping import KeyMaker, Wording, resolve
from enricher.model import Context
from enricher.source import open_table

CONTEXT = Context("bitscale", "https://api.bitscale.ai", "ws-a1b2c3d4", "grid-1")


def mapping_of(labels, columns, maps=None, templates=None):
    return resolve(labels, columns, maps or {}, templates or {})


def frame(columns):
    """A batch as `source` gives it: columns named by position."""
    return pl.DataFrame([pl.Series(str(n), values) for n, values in enumerate(columns)])


def inputs_of(mapping, columns):
    return list(mapping.inputs_of(frame(columns)))


def fed_by(template, **row):
    """The text of one label fed by `template` in a row of these columns."""
    mapping = mapping_of(["x"], list(row), templates={"x": template})
    return inputs_of(mapping, [[cell] for cell in row.values()])[0]["x"]


def problems(labels, columns, maps=None, templates=None):
    """The lines of the error that tell what does not fit."""
    with pytest.raises(MappingError) as caught:
        mapping_of(labels, columns, maps, templates)
    assert "--set LABEL=" in caught.value.mend
    return [line[4:] for line in caught.value.message.splitlines() if line.startswith("  - ")]


# --- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "column"),
    [
        ("company_name", "Company Name"),
        ("company_name", "COMPANY-NAME"),
        ("company_name", " company.name: "),
        ("companyName", "company_name"),
        ("website", "Website?"),
        ("straße", "STRASSE"),
        ("cafe\u0301", "Café"),
        ("address_2", "Address 2"),
        ("会社名", "会社名"),
        ("नाम", "नाम"),
    ],
)
def test_a_label_finds_the_column_of_its_name(label, column):
    assert mapping_of([label], ["other", column]).described() == {label: {"column": column}}


@pytest.mark.parametrize(
    ("label", "column"),
    [
        ("company", "company_name"),
        ("address_1", "Address 2"),
        ("email", "é-mail"),
        ("की", "का"),  # only their vowels tell these apart, and vowels are marks
        ("#", ""),
        ("#", "%"),
    ],
)
def test_a_label_is_not_fed_by_a_column_of_another_name(label, column):
    [problem] = problems([label], [column])
    assert problem.startswith(f"label {label!r}: no column of that name")


def test_several_columns_of_the_name_of_a_label_are_an_error_that_lists_them():
    [problem] = problems(["email"], ["E-Mail", "name", "email"])
    assert problem == "label 'email': several columns have that name: 'E-Mail', 'email'"


def test_an_error_lists_the_labels_the_columns_and_the_nearest_guess():
    with pytest.raises(MappingError) as caught:
        mapping_of(["company_name", "website"], ["Company", "Website", "Größe"])
    assert str(caught.value).splitlines() == [
        "The inputs of the grid and the columns of the file do not fit:",
        "  - label 'company_name': no column of that name (did you mean 'Company'?)",
        "The grid takes: 'company_name', 'website'",
        "The file has:   'Company', 'Website', 'Größe'",
        'Name the column with -m LABEL="COLUMN", or a text with --set LABEL=TEXT'
        " (--set LABEL= leaves it empty).",
    ]


@pytest.mark.parametrize(
    ("label", "columns"),
    [
        ("country", ["Company"]),
        ("company_name", ["Name"]),
        ("full_name", ["Nickname", "Fullness"]),
        ("company", ["Company Name", "Company Site"]),
        ("domain", ["Do", "Main Contact"]),
    ],
)
def test_a_guess_that_is_not_clear_is_not_made(label, columns):
    assert problems([label], columns) == [f"label {label!r}: no column of that name"]


@pytest.mark.parametrize(
    ("label", "column"),
    [
        ("website", "Webseite"),
        ("email", "E-Mail Address"),
        ("website", "Web"),
        ("domain", "Domian"),
    ],
)
def test_a_clear_guess_is_made(label, column):
    assert problems([label], ["Other", column]) == [
        f"label {label!r}: no column of that name (did you mean {column!r}?)"
    ]


def test_the_words_are_those_of_the_provider_and_of_the_place_where_the_user_wrote():
    wording = Wording("workflow", "leads.job.toml")
    with pytest.raises(MappingError) as caught:
        resolve(["city"], ["Town"], {"zip": "ZIP"}, {}, wording=wording)
    assert str(caught.value).splitlines() == [
        "The inputs of the workflow and the columns of the file do not fit:",
        "  - label 'city': no column of that name",
        "  - 'zip' is no input of the workflow",
        "  - input 'zip' of leads.job.toml: the file has no column 'ZIP'",
        "The workflow takes: 'city'",
        "The file has:       'Town'",
        'Name the column under [inputs] of leads.job.toml, as in label = "COLUMN", or a text, as in'
        ' label = { value = "TEXT" }; an empty one leaves it empty.',
    ]


def test_nothing_is_guessed_where_nothing_is_near():
    assert problems(["email"], ["Größe", ""]) == ["label 'email': no column of that name"]
    assert problems(["?"], ["Größe"]) == ["label '?': no column of that name"]


def test_all_problems_are_listed_at_once():
    found = problems(
        ["company_name", "website", "country", "email"],
        ["Company", "Web", "E-Mail", "email", "City", "City"],
        maps={"website": "Website", "contry": "Land"},
        templates={"country": "{Country} {City} }", "zip": "{"},
    )
    assert found == [
        "label 'company_name': no column of that name (did you mean 'Company'?)",
        "-m website: the file has no column 'Website' (did you mean 'Web'?)",
        "--set country: the file has no column 'Country'",
        "--set country: the file has 2 columns named 'City'; rename one",
        "--set country: a lone '}' in '{Country} {City} }'; write it twice for a brace",
        "label 'email': several columns have that name: 'E-Mail', 'email'",
        "'contry' is no input of the grid (did you mean 'country'?)",
        "-m contry: the file has no column 'Land'",
        "'zip' is no input of the grid",
        "--set zip: a lone '{' in '{'; write it twice for a brace",
    ]


def test_a_column_that_is_told_is_taken_by_its_exact_name():
    mapping = mapping_of(["site"], ["Website", "website"], maps={"site": "website"})
    assert inputs_of(mapping, [["a"], ["b"]]) == [{"site": "b"}]


def test_what_is_told_goes_before_a_column_of_the_same_name():
    mapping = mapping_of(["a", "b"], ["a", "b", "c"], maps={"a": "c"}, templates={"b": "T"})
    assert inputs_of(mapping, [["1"], ["2"], ["3"]]) == [{"a": "3", "b": "T"}]


def test_a_grid_that_names_no_inputs_takes_what_is_told():
    mapping = mapping_of([], ["Domain"], maps={"site": "Domain"}, templates={"country": "US"})
    assert inputs_of(mapping, [["a.com"]]) == [{"site": "a.com", "country": "US"}]
    assert problems([], ["Domain"]) == ["the grid names no inputs, and none is given"]


# --- templates -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("https://{Domain}/x", "https://a.com/x"),
        ("{Domain}", "a.com"),
        ("{Domain} {City}", "a.com Ulm"),
        ("{{{Domain}}}", "{a.com}"),
        ("{{Domain}}", "{Domain}"),
        ("}}{{{{", "}{{"),
        ("", ""),
        ("US", "US"),
        ("a\\{Domain}%s$", "a\\a.com%s$"),
    ],
)
def test_the_text_of_a_template(template, text):
    assert fed_by(template, Domain="a.com", City="Ulm") == text


@pytest.mark.parametrize(
    "column", ["a:b", "a.b", "a[0]", "a!r", "0", "", " spaced ", "{", "a}", "x\ny", "é", "%s"]
)
def test_a_template_takes_a_column_by_its_whole_name_whatever_is_in_it(column):
    if {"{", "}"} & set(column):
        assert problems(["x"], [column], templates={"x": "{" + column + "}"})
        assert inputs_of(mapping_of(["x"], [column], maps={"x": column}), [["v"]]) == [{"x": "v"}]
    else:
        assert fed_by("<{" + column + "}>", **{column: "v"}) == "<v>"


@pytest.mark.parametrize("template", ["{", "}", "{a", "a}", "{{a}", "{a}}", "{a{a}", "{{{"])
def test_a_lone_brace_is_a_mistake(template):
    assert any("a lone" in problem for problem in problems(["x"], ["a"], templates={"x": template}))


def test_a_template_is_empty_when_all_its_columns_are_blank():
    mapping = mapping_of(
        ["site", "who"], ["Domain", "Path", "Name"], {"who": "Name"}, {"site": "//{Domain}/{Path}"}
    )
    columns = [["a.com", "", None, "\t"], ["", "x", "", " "], ["n"] * 4]
    assert [row["site"] for row in inputs_of(mapping, columns)] == ["//a.com/", "///x", "", ""]
    both = mapping_of(["a", "b", "n"], ["a", "n"], {"b": "a"}, {"a": "{a}"})
    assert inputs_of(both, [[" "], ["n"]]) == [{"a": "", "b": " ", "n": "n"}]


# --- rows ------------------------------------------------------------------------------------


def test_a_row_is_skipped_when_every_column_it_feeds_from_is_blank():
    templates = {"site": "https://{Domain}", "country": "US"}
    mapping = mapping_of(
        ["name", "site", "country"], ["name", "Domain", "unused"], templates=templates
    )
    names = ["A", "", None, " \t\n\u00a0\u2003", "", "0"]
    domains = ["", "b.com", "", None, " ", ""]
    rows = inputs_of(mapping, [names, domains, ["x"] * 6])
    assert rows == [
        {"name": "A", "site": "", "country": "US"},
        {"name": "", "site": "https://b.com", "country": "US"},
        None,
        None,
        None,
        {"name": "0", "site": "", "country": "US"},
    ]


def test_constants_alone_skip_no_row():
    mapping = mapping_of(["a", "b"], ["c"], templates={"a": "", "b": "US"})
    assert inputs_of(mapping, [["", None]]) == [{"a": "", "b": "US"}] * 2


def test_text_is_sent_untrimmed():
    mapping = mapping_of(["a"], ["a"])
    cells = [" 00123 ", "1e5", "a\r\nb", "\ufeff"]
    assert [row["a"] for row in inputs_of(mapping, [cells])] == cells


def test_typed_columns_are_sent_as_text():
    values = [
        pl.Series([7, None], dtype=pl.Int8),
        pl.Series([2.0, None]),
        pl.Series([0.1, None], dtype=pl.Float32),
        pl.Series([True, None]),
        pl.Series([Decimal("1.50"), None]),
        pl.Series([date(2024, 2, 29), None]),
        pl.Series([datetime(2024, 1, 2, 3, 4, 5, 500_000), None]),
        pl.Series([datetime(2024, 1, 2, 3, 4), None]).dt.replace_time_zone("Asia/Tokyo"),
        pl.Series([time(3, 4), None]),
        pl.Series([timedelta(hours=36), None]),
        pl.Series([["a", None], None]),
        pl.Series([{"k": 1.0}, None]),
        pl.Series(["c", None], dtype=pl.Categorical),
    ]
    labels = [f"c{n}" for n in range(len(values))]
    mapping = mapping_of([*labels, "d"], [*labels, "d"])
    first, second = inputs_of(mapping, [*values, ["x", "y"]])
    assert list(first.values()) == [
        *("7", "2", "0.1", "true", "1.5", "2024-02-29"),
        *("2024-01-02T03:04:05.500", "2024-01-02T03:04:00+09:00", "03:04:00", "P1DT12H"),
        *('["a",null]', '{"k":1}', "c", "x"),
    ]
    assert second == {**dict.fromkeys(labels, ""), "d": "y"}


# --- what is stored, and found again ---------------------------------------------------------

COLUMNS = ["Company Name", "Domain", "a:b", "", "É", "x y"]
PARTS = (
    st.sampled_from(["{" + c + "}" for c in COLUMNS])
    | st.text(string.ascii_letters + "€ ", min_size=1).map(lambda text: text.replace("{", "{{"))
    | st.sampled_from(["{{", "}}"])
)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "leads.csv"
    path.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    return open_table(path)


@given(
    maps=st.dictionaries(st.text(min_size=1), st.sampled_from(COLUMNS)),
    templates=st.dictionaries(st.text(min_size=1), st.lists(PARTS).map("".join), min_size=1),
)
def test_a_stored_mapping_feeds_the_same_inputs(table, maps, templates):
    assume(not maps.keys() & templates.keys())
    mapping = mapping_of([], COLUMNS, maps, templates)
    record = JobRecord("id", CONTEXT, None, {}, mapping.described(), (), None)
    again = stored_mapping(record, table)
    cells = [["Acme", ""], ["a.com", " "], ["1", ""], ["{}", None], ["", ""], ["x", "x"]]
    assert inputs_of(again, cells) == inputs_of(mapping, cells)
    assert again.described() == mapping.described()


# --- keys ------------------------------------------------------------------------------------

INPUTS = {"company_name": "Acme Corp", "website": "acme.com"}


def key(inputs, context=CONTEXT):
    return KeyMaker(context, list(inputs)).key(inputs).hex()


@pytest.mark.parametrize(
    ("inputs", "context", "digest"),
    [
        (INPUTS, CONTEXT, "3f37185e2c60672b2343caaf8bc1f4c6"),
        ({"company_name": "", "website": ""}, CONTEXT, "1b7f97a1bd61cd7139b535b8abfeaac7"),
        ({"name": "Müller & Söhne 株式会社 🏢\n"}, CONTEXT, "e72e431e0894b63348ad068e5318de90"),
        ({"名前": "00123"}, CONTEXT, "f220d844d4938779edb2e26fbc633e27"),
        (INPUTS, replace(CONTEXT, source="src-uuid-123"), "b729ca8bafe8fd4c6f7b979ea158d099"),
        (
            INPUTS,
            Context("bitscale", "http://127.0.0.1:8765", "", "grid-1"),
            "d14d15d9c09b31f49e16681f9e433b08",
        ),
    ],
)
def test_keys_never_change(inputs, context, digest):
    """Every result that anybody has paid for is stored under such a key. If this test fails, no
    stored result will be found again and users pay for all of them once more: undo the change."""
    assert key(inputs, context) == digest


def test_a_key_has_16_bytes():
    assert len(KeyMaker(CONTEXT, ["a"]).key({"a": "x"})) == 16


def test_the_same_list_as_csv_and_as_parquet_is_bought_once(tmp_path):
    typed = pl.DataFrame(
        {
            "name": ["Acme, Inc.", None, "Größe\n"],
            "zip": ["00123", "", "9"],
            "employees": [12, 0, None],
            "revenue": [1e6, 2.5, None],
            "founded": [date(1999, 1, 2), None, date(2024, 2, 29)],
            "hiring": [True, False, None],
        }
    )
    typed.write_parquet(tmp_path / "leads.parquet")
    (tmp_path / "leads.csv").write_text(
        "name,zip,employees,revenue,founded,hiring\n"
        '"Acme, Inc.",00123,12,1000000,1999-01-02,true\n'
        ',"",0,2.5,,false\n'
        '"Größe\n",9,,,2024-02-29,\n',
        encoding="utf-8",
    )

    def keys(name):
        table = open_table(tmp_path / name)
        mapping = mapping_of(table.columns, table.columns)
        maker = KeyMaker(CONTEXT, mapping.labels)
        return [maker.key(row) for batch in table.batches() for row in mapping.inputs_of(batch)]

    assert keys("leads.csv") == keys("leads.parquet")
    assert len(set(keys("leads.csv"))) == 3


LABELS = st.dictionaries(st.text(), st.text(), max_size=4)


@given(LABELS, st.randoms(use_true_random=False))
def test_the_order_of_labels_is_irrelevant(inputs, random):
    shuffled = list(inputs.items())
    random.shuffle(shuffled)
    assert key(dict(shuffled)) == key(inputs)


@given(LABELS, LABELS)
def test_different_inputs_have_different_keys(one, other):
    assert (key(one) == key(other)) == (one == other)


@given(st.lists(st.text("0123456789:,a"), min_size=2, max_size=3), st.data())
def test_text_that_looks_like_the_lengths_between_texts_is_no_other_text(texts, data):
    other = data.draw(st.lists(st.text("0123456789:,a"), min_size=len(texts), max_size=len(texts)))
    labels = "abc"[: len(texts)]
    one, two = (dict(zip(labels, some, strict=True)) for some in (texts, other))
    assert (key(one) == key(two)) == (texts == other)
    joined = "".join(f"{len(text)}:{text}," for text in texts)
    assert key({**one, "a": joined}) != key(one)


@pytest.mark.parametrize("field", [field.name for field in fields(Context)])
def test_whatever_an_answer_depends_on_changes_the_key(field):
    changed = replace(CONTEXT, **{field: getattr(CONTEXT, field) + "x"})
    assert key(INPUTS, changed) != key(INPUTS)


def test_what_stands_in_one_field_is_not_what_stands_in_the_next():
    moved = replace(CONTEXT, account="ws-a1b2c3d4grid", target="-1")
    assert key(INPUTS, moved) != key(INPUTS, CONTEXT)


def test_a_label_more_is_another_key():
    assert key({**INPUTS, "country": ""}) != key(INPUTS)


def test_an_input_that_the_asked_outputs_do_not_need_is_fed_if_it_can_be():
    found = resolve(["name", "site"], ["Name", "Site"], {}, {}, optional={"site"})
    assert found.labels == ("name", "site")
    left_out = resolve(["name", "site"], ["Name", "Phone"], {}, {}, optional={"site"})
    assert left_out.labels == ("name",)
    with pytest.raises(MappingError, match="Nowhere"):
        resolve(["name", "site"], ["Name"], {"site": "Nowhere"}, {}, optional={"site"})
