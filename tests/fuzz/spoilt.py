"""Input files that something happened to, drawn from a seed: CSV and Parquet, head to tail."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import polars as pl

from enricher.zstd import ZstdFile

HEADER = ["Company Name", "Website", "Note", "Größe"]
ODD_CELLS = (
    *(
        "",
        " ",
        '"',
        '""',
        '"x',
        "a,b",
        "a\nb",
        "a\r\nb",
        "a\rb",
        "\0",
        "\ufeff",
        "\u202e",
        "x" * 300,
    ),
    *(
        "=1+1",
        "00123",
        "1e5",
        "NULL",
        "null",
        "NaN",
        "株式会社",
        "\x1b[2J",
        "{Domain}",
        ";",
        "\t",
        "|",
    ),
)
ODD_NAMES = (
    *("", " ", "Company Name", "company_name", "website", "enrichment_status", "a\nb", 'a"b', "\0"),
    *("x" * 5_000, "\x1b[31mred", "\u202e", "ﬁ", "Company Description", "{x}", "=1", "../..", "0"),
)

# --- CSV --------------------------------------------------------------------------------------


def csv_bytes(rng: Random) -> bytes:
    """A list as spreadsheets and databases write it; the seed decides how odd it is."""
    odd = rng.random() < 0.3
    header = [rng.choice(ODD_NAMES) if odd and rng.random() < 0.3 else name for name in HEADER]
    header += [rng.choice(ODD_NAMES) for _ in range(rng.choice((0, 0, 0, 1, 3)))]
    rows = [
        [f"Company {n}", f"c{n}.example", f"note {n}", str(n)]
        for n in range(rng.choice((0, 1, 12)))
    ]
    for row in rows:
        row += [""] * (len(header) - len(row))
        if rng.random() < 0.5:
            row[rng.randrange(len(row))] = rng.choice(ODD_CELLS)
    line_end, delimiter = rng.choice(("\n", "\n", "\r\n", "\r")), rng.choice(",,,,,;\t|")
    always = rng.random() < 0.3
    lines = [
        delimiter.join(quoted(cell, delimiter, always) for cell in row) for row in (header, *rows)
    ]
    text = line_end.join(lines) + line_end * rng.choice((0, 1, 1, 1, 3))
    return text.encode("utf-8-sig" if rng.random() < 0.2 else "utf-8", "surrogatepass")


def zstd_of(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with ZstdFile(buffer, "w") as packed:
        packed.write(content)
    return buffer.getvalue()


def ndjson_bytes(rng: Random) -> bytes:
    """Objects with the usual keys, and some with others or of other kinds."""
    odd: tuple[Any, ...] = (
        *ODD_CELLS,
        None,
        True,
        2**70,
        -0.0,
        1e300,
        [1, [None]],
        {"a": {"b": "c"}},
        {},
        7,
    )
    lines = []
    for n in range(rng.choice((1, 12, 300))):
        row: dict[str, Any] = {"Company Name": f"Company {n}", "Website": f"c{n}.example"}
        row |= {rng.choice(("more", *ODD_NAMES)): rng.choice(odd) for _ in range(rng.randrange(3))}
        lines.append(json.dumps(row, ensure_ascii=rng.random() < 0.5))
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")


def quoted(cell: str, delimiter: str, always: bool) -> str:
    needs = always or any(mark in cell for mark in f'{delimiter}"\r\n')
    return '"' + cell.replace('"', '""') + '"' if needs else cell


def another_encoding(rng: Random, content: bytes) -> bytes:
    text = content.decode("utf-8-sig", "replace")
    name = rng.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "cp037", "utf-7"))
    return text.encode(name, "replace")


def line_ends(rng: Random, content: bytes) -> bytes:
    ends = (b"\n", b"\r", b"\r\n", b"\r\r\n", b"\n\n", b"\x0b", b"\xe2\x80\xa8", b"\0\n", b"")
    return b"".join(line + rng.choice(ends) for line in content.splitlines())


def quotes(rng: Random, content: bytes) -> bytes:
    spoilt = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 7))):
        at = rng.randrange(len(spoilt) + 1)
        spoilt[at:at] = rng.choice((b'"', b'""', b'"""', b'","', b'"\n"', b"'"))
    return bytes(spoilt)


def ragged(rng: Random, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    at = rng.randrange(len(lines)) if lines else 0
    lines[at:at] = [rng.choice((b"\n", b",\n", b",,,\n", b",,,,,,,,\n", b"x\n", b" \n", b'""\n'))]
    return b"".join(lines)


def huge_cell(rng: Random, content: bytes) -> bytes:
    at = rng.randrange(len(content) + 1)
    return (
        content[:at]
        + rng.choice((b"x", b'"', b"\n", b",")) * rng.choice((9_000, 700_000))
        + content[at:]
    )


def another_kind(rng: Random, content: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("leads.csv", content)
    return rng.choice(
        (
            b"",
            b"\n\n\n",
            b"   ",
            b"\xef\xbb\xbf",
            gzip.compress(content),
            archive.getvalue(),
            rng.randbytes(3_000),
            b"PAR1",
            b"PAR1PAR1",
            b"{}",
            b"\0" * 4_096,
            b"," * 3_000 + b"\n",
            b"%PDF-1.7\n" + content,
        )
    )


# --- any bytes --------------------------------------------------------------------------------


def bit_flips(rng: Random, content: bytes) -> bytes:
    spoilt = bytearray(content)
    for _ in range(rng.choice((1, 1, 3, 30)) if spoilt else 0):
        spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def truncated(rng: Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def part_again(rng: Random, content: bytes) -> bytes:
    start, end = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    at = rng.choice((end, len(content), rng.randrange(len(content) + 1)))
    return content[:at] + content[start:end] + content[at:]


def part_gone(rng: Random, content: bytes) -> bytes:
    start, end = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    return content[:start] + content[end:]


def part_zeroed(rng: Random, content: bytes) -> bytes:
    """What a disk leaves that lost power."""
    start = rng.randrange(len(content) + 1)
    end = min(len(content), start + rng.choice((1, 16, 512)))
    return content[:start] + rng.choice((b"\0", b"\xff")) * (end - start) + content[end:]


def untouched(_: Random, content: bytes) -> bytes:
    return content


# --- Parquet ----------------------------------------------------------------------------------


def parquet_bytes(rng: Random) -> bytes:
    """A table of the usual columns and some of other types, written in one of several ways."""
    count = rng.choice((0, 1, 12, 300, 3_000))
    columns = [
        pl.Series("Company Name", [f"Company {n % 12}" for n in range(count)], dtype=pl.String),
        pl.Series("Website", [f"c{n % 12}.example" for n in range(count)], dtype=pl.String),
    ]
    for number in range(rng.randrange(4)):
        name = rng.choice(ODD_NAMES) if rng.random() < 0.2 else f"more {number}"
        values, dtype = rng.choice(TYPED)
        columns.append(
            pl.Series(name, [values[n % len(values)] for n in range(count)], dtype=dtype)
        )
    distinct = {column.name: column for column in columns}
    buffer = io.BytesIO()
    pl.DataFrame(list(distinct.values())).write_parquet(
        buffer,
        compression=rng.choice(COMPRESSIONS),
        row_group_size=rng.choice((None, 5, 500)),
        statistics=rng.random() < 0.7,
    )
    return buffer.getvalue()


COMPRESSIONS: Sequence[Any] = (
    *("zstd", "snappy", "gzip", "lz4", "brotli"),
    *("uncompressed",) * 5,  # nothing notices a flipped bit before the decoder does
)
TYPED: Sequence[tuple[Sequence[object], pl.DataType]] = (
    ([1, None, -(2**63)], pl.Int64()),
    ([2**64 - 1, 0], pl.UInt64()),
    ([1.5, float("nan"), float("inf"), None], pl.Float64()),
    ([True, None], pl.Boolean()),
    ([date(1, 1, 1), date(9999, 12, 31), None], pl.Date()),
    ([datetime(1900, 1, 1, tzinfo=UTC), None], pl.Datetime("us", "UTC")),
    ([time(23, 59, 59, 999_999)], pl.Time()),
    ([timedelta(days=-9_000, microseconds=1)], pl.Duration("us")),
    ([Decimal("1.50"), Decimal("-99999999999999.99")], pl.Decimal(38, 2)),
    ([[1, None], [], None], pl.List(pl.Int32())),
    ([{"a": 1, "b": None}, None], pl.Struct({"a": pl.Int8(), "b": pl.String()})),
    ([b"\xff\0", b""], pl.Binary()),
    (["x", "y", None], pl.Categorical()),
    ([None], pl.Null()),
)


def footer(rng: Random, content: bytes) -> bytes:
    """The metadata at the end, or the length of it."""
    length = int.from_bytes(content[-8:-4], "little")
    if rng.random() < 0.25:
        wrong = rng.choice((0, 1, length - 1, length + 1, len(content), 2**31 - 1, 2**32 - 1))
        return content[:-8] + wrong.to_bytes(4, "little") + b"PAR1"
    start = max(0, len(content) - 8 - length)
    return content[:start] + bit_flips(rng, content[start:-8]) + content[-8:]


def pages(rng: Random, content: bytes) -> bytes:
    """The data, and the headers of its pages."""
    end = max(4, len(content) - 8 - int.from_bytes(content[-8:-4], "little"))
    spoil = rng.choice((bit_flips, bit_flips, part_zeroed))
    return content[:4] + spoil(rng, content[4:end]) + content[end:]


Spoil = Callable[[Random, bytes], bytes]
ANY: Sequence[Spoil] = (bit_flips, truncated, part_again, part_gone, part_zeroed, untouched)
OF_CSV: Sequence[Spoil] = (
    *(another_encoding, line_ends, quotes, ragged, huge_cell, another_kind, quotes, untouched),
    *ANY,
)
OF_PARQUET: Sequence[Spoil] = (*(footer,) * 2, *(pages,) * 6, part_zeroed, part_gone, *ANY)


def spoilt_file(rng: Random) -> tuple[str, bytes]:
    """The extension of an input file, and what stands in it."""
    kind = rng.random()
    if kind < 0.08:
        extension, pack = rng.choice(((".csv.gz", gzip.compress), (".csv.zst", zstd_of)))
        content = csv_bytes(rng)
        cut = rng.randrange(len(content) + 1)
        members = pack(content[:cut]) + pack(content[cut:])
        return extension, rng.choice(ANY)(rng, members)
    if kind < 0.16:
        return ".ndjson", rng.choice((*ANY, line_ends, quotes))(rng, ndjson_bytes(rng))
    if kind < 0.65:
        content = rng.choice(OF_CSV)(rng, csv_bytes(rng))
        return ".csv", rng.choice(ANY)(rng, content) if rng.random() < 0.2 else content
    content = rng.choice(OF_PARQUET)(rng, parquet_bytes(rng))
    return ".parquet", rng.choice(ANY)(rng, content) if rng.random() < 0.2 else content
