//! Records samples of any time: with the store's own script, as if Redis' clock showed their time.

use std::{sync::LazyLock, time::Duration};

use cotiza::{
    domain::{Observation, Slots},
    store::{Recorded, hour_of, keys},
};
use redis::{AsyncConnectionConfig, Client, RedisResult, Script, aio::MultiplexedConnection};

const PATIENCE: Duration = Duration::from_secs(10);

static RECORD: LazyLock<Script> = LazyLock::new(|| {
    let script = include_str!("../../src/store/record.lua");
    let (time, of_the_sample) = ("redis.call('TIME')[1]", "ARGV[1]");
    assert!(script.contains(time), "the script asks for the time in another way");
    Script::new(&script.replace(time, of_the_sample))
});

/// A connection that waits for a Redis on a busy machine.
pub async fn connect(client: &Client) -> RedisResult<MultiplexedConnection> {
    let patient = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    client.get_multiplexed_async_connection_with_config(&patient).await
}

pub async fn record(
    client: &Client,
    slots: Slots,
    observation: &Observation,
) -> RedisResult<Recorded> {
    let mut connection = connect(client).await?;
    let Observation { sample, provenance } = observation;
    let second = sample.timestamp.second();
    let slot = slots.containing(second);
    let mut step = RECORD.key(keys::PRICES);
    step.key(keys::META).key(keys::CHANGES).key(keys::provenance(hour_of(second)));
    step.key(format!("{}{second}", keys::DONE)).key(&keys::MISSED[..]);
    for source in provenance.iter().flat_map(|from| from.source.split('+')) {
        step.key(format!("{}{source}", keys::SOURCE));
    }
    step.arg(second).arg(sample.member()).arg(slot.start()).arg(slot.end());
    step.arg(provenance.as_ref().map(ToString::to_string).unwrap_or_default());
    step.arg(keys::MISSED.len());
    Ok(match step.invoke_async::<i64>(&mut connection).await? {
        1 => Recorded::Stored,
        0 => Recorded::SlotTaken,
        _ => Recorded::HourClosed,
    })
}
