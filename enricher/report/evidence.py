"""What helps a person to decide about submissions in doubt: how account and target changed.

A run appends a row to the grid and spends credits even if its answer is lost: more rows than
acknowledged submissions mean that some of those in doubt were processed.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evidence:
    """One pass: what was acknowledged, and how counts changed; `None` where not told.

    Attributes:
        acknowledged: submissions that became runs.
        in_doubt: submissions whose answer was lost.
        rows: how many rows the target gained.
        credits: how many credits the account used.
        word: what the users of the provider call the target.
    """

    acknowledged: int
    in_doubt: int
    rows: int | None
    credits: float | None
    word: str = "grid"


def evidence_lines(evidence: Evidence) -> list[str]:
    """For a person, who decides."""
    sent = evidence.acknowledged
    were = "submission was" if sent == 1 else "submissions were"
    doubts = f"{evidence.in_doubt} submission{'s' if evidence.in_doubt != 1 else ''} in doubt"
    lines = [f"Evidence: {sent} {were} acknowledged, {doubts}."]
    if evidence.rows is not None:
        what = f"rows of the {evidence.word}"
        lines.append(f"  {what:<19} expected +{sent}, found {evidence.rows:+d}")
    if evidence.credits is not None and sent:
        lines.append(
            f"  credits.used        found {evidence.credits:+g}"
            f" ({evidence.credits / sent:.3g} an acknowledged submission)"
        )
    if evidence.rows is not None:
        lines.append("  " + _verdict(evidence.rows - sent, evidence.word))
    return lines


def _verdict(more: int, word: str) -> str:
    if more > 0:
        return (
            f"{more} more than acknowledged: so many of those in doubt may have been processed, if"
            f" nobody else used the {word}."
        )
    if more == 0:
        return "As many as acknowledged: none of those in doubt seems to have been processed."
    return f"Fewer than acknowledged: the {word} removes rows by itself, so this tells nothing."
