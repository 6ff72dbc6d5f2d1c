"""Generates a client with openapi-python-client and calls every operation: each response has status 200, and
exactly the fields of the documented model."""

import importlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import attrs

from api import URL, get

HOUR_AGO = datetime.now(UTC) - timedelta(hours=1)
NOW = datetime.now(UTC)
DAY = {"id": "bitcoin", "vs_currency": "ars", "days": "1"}
# The arguments of each operation. Times have different types that the client accepts.
CALLS = {
    "latest": {"max_age": "1h"},
    "average_price": {"since": HOUR_AGO, "until": "now"},
    "ticker_average_price": {"since": "-1h", "until": NOW.timestamp()},
    "ticker_list": {"page": 1, "page_size": 5, "since": HOUR_AGO.date()},
    "ticker_price": {"timestamp": "now"},
    "price": {"at": NOW},
    "candles": {"interval": "10s", "reasons": True},
    "summary": {"since": "-1h"},
    "stream": {"since": "-1h"},
    "coverage": {},
    "gaps": {"page": 1},
    "sources": {},
    "status": {},
    "queues": {},
    "jobs": {"page_size": 5},
    "processes": {},
    "live": {},
    "ready": {},
    "coingecko_ping": {},
    "coingecko_simple_price": {"ids": "bitcoin", "vs_currencies": "ars"},
    "coingecko_market_chart": DAY,
    "coingecko_market_chart_range": {
        "id": "bitcoin", "vs_currency": "ars",
        "from_": int(HOUR_AGO.timestamp()), "to": int(NOW.timestamp()),
    },
    "coingecko_ohlc": DAY,
    "criptoya_quotes": {"coin": "btc", "fiat": "ars", "volume": 0.1},
    "criptoya_quote": {"exchange": "simulated", "coin": "BTC", "fiat": "ARS", "volume": 1},
}


# Operations that return an image, which the generator skips with a warning.
PICTURES = {"/api/chart.svg", "/api/badge.svg"}


def unknown_fields(value):
    """Returns the fields in the response that are not documented. A map has no fields of its own."""
    if isinstance(value, list):
        return [field for item in value for field in unknown_fields(item)]
    if not attrs.has(type(value)):
        return []
    fields = [field.name for field in attrs.fields(type(value))]
    is_map = fields == ["additional_properties"]
    found = [] if is_map else list(value.additional_properties)
    parts = value.additional_properties.values() if is_map else [getattr(value, f) for f in fields]
    return found + [field for part in parts for field in unknown_fields(part)]


def call(operation, arguments, client):
    if operation.__name__.endswith(".stream"):
        # The stream never ends, so it is read until the first event.
        with client.get_httpx_client().stream(**operation._get_kwargs(**arguments)) as answer:
            assert answer.status_code == 200, answer.status_code
            assert "event: price" in answer.iter_lines()
        return
    answer = operation.sync_detailed(client=client, **arguments)
    assert answer.status_code == 200, answer.content
    parsed, written = answer.parsed, answer.parsed
    if not isinstance(parsed, list):
        assert attrs.has(type(parsed)), f"not a model: {parsed!r}"
        written = parsed.to_dict()
    assert written == json.loads(answer.content), f"{written} is not {answer.content}"
    assert not unknown_fields(parsed), f"not documented: {unknown_fields(parsed)}"


folder = os.environ["SCRATCH"]
command = ["openapi-python-client", "generate", "--url", f"{URL}/openapi.json", "--meta", "none",
           "--output-path", f"{folder}/generated", "--overwrite"]
written = subprocess.run(command, check=True, capture_output=True, text=True).stdout
warned = {line.split()[-1] for line in written.splitlines() if line.startswith("WARNING parsing")}
assert warned <= PICTURES, written
sys.path.insert(0, folder)
from generated import Client  # noqa: E402

called = failed = 0
with Client(base_url=URL, timeout=10) as client:
    for path, methods in get("/openapi.json")["paths"].items():
        if path in PICTURES:
            continue
        for described in methods.values():
            name, tag = described["operationId"], described["tags"][0].lower()
            try:
                assert name in CALLS, "no call of this operation: add its arguments to CALLS"
                module = importlib.import_module(f"generated.api.{tag}.{name}")
                call(module, CALLS[name], client)
                called += 1
            except Exception as error:
                failed += 1
                print(f"   {name} ({path}): {type(error).__name__} {error}")
print(f"   {called} operations")
raise SystemExit(failed > 0 or called == 0)
