"""Tests that the published pycoingecko works with the API; only the base URL is changed."""

import time

from pycoingecko import CoinGeckoAPI

from api import URL, get

gecko = CoinGeckoAPI(retries=0)
gecko.api_base_url = f"{URL}/api/v3/"
now = time.time()


def is_recent(milliseconds):
    return abs(milliseconds / 1000 - now) < 3600


assert gecko.ping() == {"gecko_says": "(V3) To the Moon!"}

price = gecko.get_price("bitcoin", "ars", include_24hr_change=True, include_last_updated_at=True)
bitcoin = price["bitcoin"]
assert set(bitcoin) == {"ars", "ars_24h_change", "last_updated_at"}, bitcoin
assert bitcoin["ars"] > 1_000_000 and is_recent(bitcoin["last_updated_at"] * 1000), bitcoin
# There is no price of yesterday yet.
assert bitcoin["ars_24h_change"] is None, bitcoin

prices = [ticker["price"] for ticker in get("/api/ticker-list/?page_size=1000")["results"]]
chart = gecko.get_coin_market_chart_by_id("bitcoin", "ars", 1)
ranged = gecko.get_coin_market_chart_range_by_id("bitcoin", "ars", int(now - 3600), int(now))
for answer in (chart, ranged):
    assert set(answer) == {"prices", "market_caps", "total_volumes"}, answer
    assert answer["prices"], answer
    assert all(is_recent(at) and value in prices for at, value in answer["prices"]), answer
    assert len(answer["prices"]) == len(answer["market_caps"]) == len(answer["total_volumes"])

candles = gecko.get_coin_ohlc_by_id("bitcoin", "ars", 1)
assert candles, candles
for at, first, high, low, last in candles:
    assert is_recent(at) and high >= max(first, last) and low <= min(first, last), candles

for wrong in (("dogecoin", "ars"), ("bitcoin", "usd")):
    try:
        gecko.get_coin_market_chart_by_id(*wrong, 1)
    except ValueError as error:
        assert "error" in error.args[0], error
    else:
        raise AssertionError(f"{wrong} was accepted")
assert gecko.get_price("dogecoin", "ars") == {}
