//! The names of all keys in Redis, literally: other programs and older versions read and write them.

use cotiza::{domain::MissedReason, store::keys};

#[test]
fn the_names_of_all_keys_are_those_of_the_contract() {
    for (name, literal) in [
        (keys::PRICES, "prices"),
        (keys::HOURS, "{prices}:hours"),
        (keys::META, "{prices}:meta"),
        (keys::CHANGES, "{prices}:changes"),
        (keys::SLOTS, "{prices}:slots"),
        (keys::PROVENANCE, "{prices}:provenance:"),
        (keys::MISSED, "{prices}:missed:"),
        (keys::SCHEDULER_HEARTBEATS, "{prices}:seen:scheduler"),
        (keys::WORKER_HEARTBEATS, "{prices}:seen:worker"),
        (keys::API_HEARTBEATS, "{prices}:seen:api"),
        (keys::SKEW, "{prices}:skew"),
        (keys::PROCESS, "{prices}:process:"),
        (keys::SUMS, "{prices}:sums"),
        (keys::DONE, "{prices}:done:"),
        (keys::AUDIT, "{prices}:audit"),
        (keys::SOURCE, "{prices}:source:"),
        (keys::ATTEMPTS, "{prices}:attempts:"),
        (keys::REJECTED, "{prices}:rejected"),
        (keys::CIRCUITS, "{prices}:circuits:"),
        (keys::v0_1::ROLLUPS[0], "{prices}:rollups"),
        (keys::v0_1::ROLLUPS[1], "{prices}:rollups:2"),
        (keys::v0_1::GAPS, "{prices}:gaps"),
        (keys::v0_1::SLOT, "{prices}:slot"),
        (keys::v0_1::QUOTES, "{prices}:quotes:"),
    ] {
        assert_eq!(name, literal);
    }
    for (name, literal) in [
        (keys::provenance(1_717_182_000), "{prices}:provenance:1717182000"),
        (keys::source("buenbit"), "{prices}:source:buenbit"),
        (keys::attempts("buenbit"), "{prices}:attempts:buenbit"),
        (keys::circuits("host-7.0a"), "{prices}:circuits:host-7.0a"),
        (keys::process("host-7.0a"), "{prices}:process:host-7.0a"),
    ] {
        assert_eq!(name, literal);
    }
    let missed = [
        "{prices}:missed:exchange_timeout",
        "{prices}:missed:exchange_error",
        "{prices}:missed:bad_answer",
        "{prices}:missed:too_late",
        "{prices}:missed:worker_lost",
        "{prices}:missed:redis_away",
        "{prices}:missed:price_rejected",
        "{prices}:missed:no_worker",
        "{prices}:missed:paused",
    ];
    assert_eq!(MissedReason::ALL.map(keys::missed), missed);
    assert_eq!(keys::all_missed(), missed);
}
