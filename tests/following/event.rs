//! What can happen to Redis while a history follows it.

use proptest::prelude::*;

/// A fault of Redis or a change of its data.
#[derive(Debug, Clone)]
pub enum Event {
    /// Workers record samples.
    Record(Vec<i64>),
    /// An import adds samples to whole hours: the first hour, and how many.
    Import(i64, i64),
    /// The old stack writes a sample, at a time that may have a fraction.
    Legacy(i64, bool),
    /// The old stack writes a price again: its member gets another score.
    WrittenAgain(i64),
    /// A member that is not a sample.
    Rubbish(i64),
    /// The n-th sample is removed manually.
    Remove(usize),
    /// Hours are sealed, and the text form of some is dropped.
    Maintain(i64),
    /// Redis does not answer for a while.
    Stall,
    /// Redis is killed and started again with its data.
    Restart,
    /// Redis is killed and started again without the last writes, as after the promotion of a replica.
    LoseTail(Vec<i64>),
    /// Redis is killed and started again without data.
    Wipe,
    Flush,
    /// The stream of changes is trimmed before the history has read it.
    TrimStream,
    /// All connections are closed.
    Disconnect,
    /// The length of slots changes.
    Slots(u64),
    /// The stream has an id far in the future, as if the clock of Redis had been ahead.
    FutureId,
}

/// Generates an event.
pub fn event() -> impl Strategy<Value = Event> {
    let second = || prop_oneof![0i64..20_000, 0i64..2_000_000];
    let seconds = || prop::collection::vec(second(), 1..12);
    prop_oneof![
        4 => seconds().prop_map(Event::Record),
        2 => (0i64..200, 1i64..40).prop_map(|(first, count)| Event::Import(first, count)),
        2 => (second(), any::<bool>()).prop_map(|(at, half)| Event::Legacy(at, half)),
        2 => second().prop_map(Event::WrittenAgain),
        1 => second().prop_map(Event::Rubbish),
        2 => (0usize..100).prop_map(Event::Remove),
        2 => (0i64..700).prop_map(Event::Maintain),
        1 => Just(Event::Stall),
        2 => Just(Event::Restart),
        2 => seconds().prop_map(Event::LoseTail),
        1 => Just(Event::Wipe),
        1 => Just(Event::Flush),
        1 => Just(Event::TrimStream),
        1 => Just(Event::Disconnect),
        1 => prop_oneof![Just(10u64), Just(20), Just(7)].prop_map(Event::Slots),
        1 => Just(Event::FutureId),
    ]
}
