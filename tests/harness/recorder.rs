//! Records samples of any time with the script of the store, as if the clock of Redis showed their time.

use std::{sync::LazyLock, time::Duration};

use cotiza::{
    domain::{MissedReason, Observation, Slots},
    store::{Recorded, hour_of, keys},
};
use redis::{AsyncConnectionConfig, Client, RedisResult, Script, aio::MultiplexedConnection};

const REDIS_TIMEOUT: Duration = Duration::from_secs(10);

static RECORD: LazyLock<Script> = LazyLock::new(|| {
    let script = include_str!("../../src/store/record.lua");
    let (redis_time, sample_time) = ("redis.call('TIME')[1]", "ARGV[1]");
    assert!(script.contains(redis_time), "the script no longer contains {redis_time}");
    Script::new(&script.replace(redis_time, sample_time))
});

/// Opens a connection with timeouts that are long enough for a busy machine.
pub async fn connect(client: &Client) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(REDIS_TIMEOUT))
        .set_response_timeout(Some(REDIS_TIMEOUT));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// Records an observation whose slot has ended, too, on a new connection.
pub async fn record(
    client: &Client,
    slots: Slots,
    observation: &Observation,
) -> RedisResult<Recorded> {
    record_on(&mut connect(client).await?, slots, observation).await
}

/// Records an observation whose slot has ended, too.
pub async fn record_on(
    connection: &mut MultiplexedConnection,
    slots: Slots,
    observation: &Observation,
) -> RedisResult<Recorded> {
    let Observation { sample, provenance } = observation;
    let second = sample.timestamp.second();
    let slot = slots.containing(second);
    let mut step = RECORD.key(keys::PRICES);
    step.key(keys::META).key(keys::CHANGES).key(keys::provenance(hour_of(second)));
    step.key(format!("{}{second}", keys::DONE)).key(&keys::all_missed()[..]);
    for source in provenance.iter().flat_map(|from| from.source.split('+')) {
        step.key(keys::source(source));
    }
    step.arg(second).arg(sample.member()).arg(slot.start()).arg(slot.end());
    step.arg(provenance.as_ref().map(ToString::to_string).unwrap_or_default());
    step.arg(MissedReason::ALL.len());
    Ok(match step.invoke_async::<i64>(connection).await? {
        1 => Recorded::Stored,
        0 => Recorded::SlotTaken,
        _ => Recorded::HourClosed,
    })
}
