"""What the id of a run, a target or an account may look like."""

import re

SAFE_ID = re.compile(r"(?!\.+$)[A-Za-z0-9._-]{1,128}")
"""An id that may be part of an address or a header; dots alone would lead to another address."""
