"""Tests that pandas reads the lists as CSV from their URLs: columns, types and number of rows."""

import pandas as pd

from api import URL, get

REASONS = list(get("/api/coverage/")["reasons"])
# The end of a range in the past, so that all formats have the same rows.
UNTIL = get("/api/latest/")["timestamp"] - 1


def read(path, columns, rows):
    frame = pd.read_csv(f"{URL}{path}&format=csv&until={UNTIL}")
    types = {name: str(kind) for name, kind in frame.dtypes.items()}
    assert list(types.items()) == list(columns.items()), f"{path}: {types}"
    assert len(frame) == rows > 0, f"{path}: {len(frame)} rows instead of {rows}"
    assert not frame.isna().any().any(), f"{path}: some fields are empty"
    return frame


def listed(path):
    return get(f"{path}&until={UNTIL}")


tickers = listed("/api/ticker-list/?page_size=1000")
frame = read(
    "/api/ticker-list/?since=-1d",
    {"timestamp": "int64", "price": "float64", "source": "str"},
    tickers["count"],
)
assert frame.to_dict("records") == tickers["results"]

prices = dict.fromkeys(["open", "high", "low", "close", "mean"], "float64")
counts = dict.fromkeys(["count", "expected", "missed"], "int64")
candle = {"timestamp": "int64", **prices, **counts, "complete": "bool"}
candles = listed("/api/candles/?interval=5s&since=-1d")["results"]
frame = read("/api/candles/?interval=5s&since=-1d", candle, len(candles))
assert frame.to_dict("records") == candles
with_reasons = {**candle, **dict.fromkeys(REASONS, "int64")}
read("/api/candles/?interval=5s&since=-1d&reasons=true", with_reasons, len(candles))

gaps = dict.fromkeys(["since", "until", "slots", *REASONS], "int64")
frame = read("/api/gaps/?since=-1d", gaps, listed("/api/gaps/?page_size=1000&since=-1d")["count"])
assert (frame[REASONS].sum(axis=1) == frame["slots"]).all()
