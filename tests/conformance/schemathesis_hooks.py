"""Rules that OpenAPI cannot express, mainly dependencies between parameters. A valid value that is refused
for any other reason is still a failure. This replaces the check `positive_data_acceptance`, which allows
no exceptions.
"""

import re

import schemathesis

MAY_BE_REFUSED = [
    # `since` must not be after `until`; both are random.
    r"^since \(.*\) is after until \(.*\)",
    # `hold` only applies to a mean weighted by time.
    r"^hold: requires weight=time",
    # CSV and NDJSON contain the whole range: only JSON has pages and limits.
    r"^(page|page_size): not allowed with CSV and NDJSON",
    r"^limit: not allowed with CSV and NDJSON",
    # The document does not list the names of the IANA database, which change with its versions.
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
