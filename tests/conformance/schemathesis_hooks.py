"""What the document cannot say, above all which parameters depend on each other: OpenAPI describes each
by itself. These rules are written down here, so that a valid value that is refused for any other reason
is still a failure. This stands in for the check `positive_data_acceptance`, which knows no exceptions.
"""

import re

import schemathesis

MAY_BE_REFUSED = [
    # The first moment may not be after the last; both are random.
    r"^since \(.*\) is after until \(.*\)",
    # `hold` says how long a price counts, which only a mean weighted by time asks.
    r"^hold: it needs weight=time",
    # CSV and NDJSON are streams of everything: pages and limits belong to JSON.
    r"^(page|page_size): CSV and NDJSON have no pages",
    r"^limit: CSV and NDJSON have all of the range",
    # The names of the IANA database are too many for the document, and change with its versions.
    r"^time_zone: .* is not a time zone",
]


@schemathesis.check
def valid_values_are_accepted(ctx, response, case):
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if response.status_code not in (400, 405, 406, 415, 422):
        return
    problem = response.json() if "json" in response.headers["content-type"][0] else {}
    detail = problem.get("detail", "")
    if not any(re.search(rule, detail) for rule in MAY_BE_REFUSED):
        raise AssertionError(f"valid values were refused with {response.status_code}: {response.text}")
