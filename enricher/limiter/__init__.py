"""Budgets: rate limits that the processes of a host, or of many hosts, keep together."""

import hashlib

_PERSON = b"enricher-limit"


def budget_name(provider: str, base_url: str, key: str, *more: str) -> str:
    """What the budget of a key is called; nobody can tell the key from it."""
    digest = hashlib.blake2b(digest_size=16, key=key.encode()[:64], person=_PERSON)
    for part in (provider, base_url, key, *more):
        digest.update(f"{len(part)}:{part},".encode())
    return digest.hexdigest()
