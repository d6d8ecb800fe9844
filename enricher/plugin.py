"""What a provider that somebody else writes may use: all of it, and nothing else.

A plugin is a `Vendor` under an entry point of the group `enricher.providers`. Its provider does one
request a call and *returns* what the answer means, as a verdict; it never waits, repeats or paces.
docs/write-a-provider.md tells the rest, with a complete example. Names leave this module, or change
their meaning, only with a new major version.
"""

from enricher.errors import CannotGoOn, KeyProblem, ProviderRefused
from enricher.model import Credits, Inputs, Json, OnSent, OutputColumn, unheard
from enricher.providers.base import (
    Ask,
    BatchProvider,
    Briefing,
    Hold,
    Provider,
    objects_in,
    parsed_error,
    text_in,
)
from enricher.providers.ids import SAFE_ID
from enricher.providers.keyed import Carry, Heard, Keyed
from enricher.providers.keys import ApiKey
from enricher.providers.line import Line, Meaning, Words
from enricher.providers.transport import Answer, Transport
from enricher.providers.vendor import Checked, OwnKeys, Task, Vendor
from enricher.verdicts import (
    Accepted,
    Alive,
    BatchAnswered,
    BatchRejected,
    BatchTooLarge,
    Broken,
    Done,
    Facts,
    InProgress,
    ItemVerdict,
    JobStops,
    KeyRejected,
    Malformed,
    MaybeSent,
    NotSent,
    RateSignal,
    Ready,
    Refused,
    Reply,
    RowRejected,
    RunFailed,
    StillRunning,
    Verdict,
)

__all__ = [
    "SAFE_ID",
    "Accepted",
    "Alive",
    "Answer",
    "ApiKey",
    "Ask",
    "BatchAnswered",
    "BatchProvider",
    "BatchRejected",
    "BatchTooLarge",
    "Briefing",
    "Broken",
    "CannotGoOn",
    "Carry",
    "Checked",
    "Credits",
    "Done",
    "Facts",
    "Heard",
    "Hold",
    "InProgress",
    "Inputs",
    "ItemVerdict",
    "JobStops",
    "Json",
    "KeyProblem",
    "KeyRejected",
    "Keyed",
    "Line",
    "Malformed",
    "MaybeSent",
    "Meaning",
    "NotSent",
    "OnSent",
    "OutputColumn",
    "OwnKeys",
    "Provider",
    "ProviderRefused",
    "RateSignal",
    "Ready",
    "Refused",
    "Reply",
    "RowRejected",
    "RunFailed",
    "StillRunning",
    "Task",
    "Transport",
    "Vendor",
    "Verdict",
    "Words",
    "objects_in",
    "parsed_error",
    "text_in",
    "unheard",
]
