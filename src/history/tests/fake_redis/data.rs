//! The data of the fake Redis, and the commands that read and change it.

use std::collections::BTreeMap;

use super::Reply;
use crate::{
    domain::{MissedReason, Observation},
    store::keys,
};

/// The stored data. Times are unix seconds.
#[derive(Debug, Default)]
pub(in crate::history::tests) struct Data {
    /// The members of `prices` with their scores.
    pub(in crate::history::tests) prices: Vec<(String, f64)>,
    pub(in crate::history::tests) blocks: BTreeMap<i64, Vec<u8>>,
    pub(in crate::history::tests) boundary: Option<i64>,
    pub(in crate::history::tests) provenance: BTreeMap<i64, String>,
    /// The fields of each change.
    pub(in crate::history::tests) changes: Vec<Vec<(&'static str, String)>>,
    /// The number of changes that have been removed from the beginning of the stream.
    pub(in crate::history::tests) lost: usize,
    /// The number of changes at the end that have not reached the stream yet.
    pub(in crate::history::tests) late: usize,
    /// How many changes are returned at once.
    pub(in crate::history::tests) most_changes: Option<usize>,
    pub(in crate::history::tests) missed: BTreeMap<String, Vec<i64>>,
    pub(in crate::history::tests) run: u32,
    /// How many of the next changes of hours fail because an hour has changed.
    pub(in crate::history::tests) contended: usize,
    /// How often the counts were read.
    pub(in crate::history::tests) comparisons: usize,
    /// The hours and ranges that were read.
    pub(in crate::history::tests) reads: Vec<(i64, i64)>,
    /// How often the list of blocks was read, which is once for each time that everything is loaded.
    pub(in crate::history::tests) loads: usize,
}

impl Data {
    /// Returns data with samples in text form.
    pub(in crate::history::tests) fn text(samples: impl Into<Vec<Observation>>) -> Self {
        let mut data = Self::default();
        for Observation { sample, provenance } in samples.into() {
            data.prices.push((sample.member(), sample.timestamp.score()));
            let second = sample.timestamp.second();
            data.provenance.extend(provenance.map(|it| (second, it.to_string())));
        }
        data
    }

    /// Adds a sample to the text without a message about it.
    pub(in crate::history::tests) fn add(&mut self, observation: &Observation) {
        let sample = &observation.sample;
        self.prices.push((sample.member(), sample.timestamp.score()));
        self.prices.sort_by(|(_, one), (_, other)| one.total_cmp(other));
        if let Some(provenance) = &observation.provenance {
            self.provenance.insert(sample.timestamp.second(), provenance.to_string());
        }
    }

    /// Adds a sample as a worker records it.
    pub(in crate::history::tests) fn record(&mut self, observation: &Observation) {
        self.add(observation);
        let sample = &observation.sample;
        let score = sample.timestamp.score().to_string();
        let mut fields = vec![("member", sample.member()), ("score", score)];
        fields.extend(observation.provenance.as_ref().map(|it| ("provenance", it.to_string())));
        self.changes.push(fields);
    }

    pub(in crate::history::tests) fn miss(&mut self, slot: i64, reason: MissedReason) {
        self.missed.entry(keys::missed(reason)).or_default().push(slot);
    }

    pub(super) fn reply(&mut self, request: &[Vec<u8>]) -> Reply {
        let text = |at: usize| String::from_utf8_lossy(request.get(at).map_or(b"", |it| it));
        let number = |at: usize| text(at).trim_start_matches('(').parse::<i64>().unwrap();
        match &*text(0) {
            "INFO" => Reply::text(&format!("role:master\r\nrun_id:{}\r\n", self.run)),
            "HGET" => self.boundary.map_or(Reply::Nothing, |at| Reply::text(&at)),
            "HKEYS" => {
                self.loads += 1;
                Reply::Array(self.blocks.keys().map(Reply::text).collect())
            }
            "HMGET" => {
                let block = |at| self.blocks.get(&number(at)).cloned();
                let blocks = (2..request.len()).map(block);
                Reply::Array(blocks.map(|it| it.map_or(Reply::Nothing, Reply::Bulk)).collect())
            }
            "HGETALL" => self.hash(&text(1)),
            "ZCOUNT" => {
                let found = self.seconds(&text(1), number(2), number(3));
                Reply::Integer(found.count().try_into().unwrap())
            }
            "ZRANGEBYSCORE" => {
                let found = self.seconds(&text(1), number(2), number(3));
                Reply::Array(found.map(|second| Reply::text(&second)).collect())
            }
            "ZREMRANGEBYSCORE" => {
                let kept = self.missed.entry(text(1).into_owned()).or_default();
                kept.retain(|slot| *slot >= number(3));
                Reply::Integer(0)
            }
            "XREAD" => self.changes_after(&text(request.len() - 1)),
            "EVALSHA" if number(2) == 1 => self.rows(number(4), number(5)),
            "EVALSHA" if number(2) == 4 => {
                self.comparisons += 1;
                self.counts()
            }
            "EVALSHA" if number(2) > 4 => {
                let first = 3 + usize::try_from(number(2)).unwrap();
                Reply::Integer(self.replace(&request[first..]).into())
            }
            // The keys of version 0.1 and those of probes do not exist.
            "EXISTS" | "DEL" => Reply::Integer(0),
            other => panic!("the fake Redis does not know {other}"),
        }
    }

    fn hash(&self, key: &str) -> Reply {
        let Some(hour) = key.strip_prefix(keys::PROVENANCE) else {
            return Reply::Array(Vec::new());
        };
        let hour: i64 = hour.parse().unwrap();
        let of_hour = self.provenance.range(hour..hour + 3600);
        Reply::Array(of_hour.flat_map(|(at, of)| [Reply::text(at), Reply::text(of)]).collect())
    }

    /// Returns the whole seconds of the members of a sorted set in `[from, until)`.
    #[allow(clippy::cast_possible_truncation, reason = "unix seconds")]
    fn seconds(&self, key: &str, from: i64, until: i64) -> impl Iterator<Item = i64> + use<> {
        let seconds: Vec<i64> = if key == keys::PRICES {
            self.prices.iter().map(|(_, score)| score.floor() as i64).collect()
        } else {
            self.missed.get(key).cloned().unwrap_or_default()
        };
        seconds.into_iter().filter(move |second| (from..until).contains(second))
    }

    fn text_of(&self, from: i64, until: i64) -> Vec<(&str, f64)> {
        #[allow(clippy::cast_possible_truncation, reason = "unix seconds")]
        let is_inside = |score: f64| (from..until).contains(&(score.floor() as i64));
        let inside = self.prices.iter().filter(|(_, score)| is_inside(*score));
        inside.map(|(member, score)| (member.as_str(), *score)).collect()
    }

    fn rows(&mut self, from: i64, until: i64) -> Reply {
        self.reads.push((from, until));
        let rows = self.text_of(from, until).into_iter();
        let reply = |(member, score)| [Reply::text(member), Reply::text(&score)];
        Reply::Array(rows.flat_map(reply).collect())
    }

    fn counts(&self) -> Reply {
        let shown = self.changes.len() - self.late;
        let id = if shown == 0 { String::new() } else { format!("{shown}-0") };
        Reply::Array(vec![
            Reply::text(&self.changes.len()),
            Reply::text(&self.boundary.map(|at| at.to_string()).unwrap_or_default()),
            Reply::Integer(self.prices.len().try_into().unwrap()),
            Reply::text(&self.prices.last().map(|(_, at)| at.to_string()).unwrap_or_default()),
            Reply::Integer(self.blocks.len().try_into().unwrap()),
            Reply::text(&id),
        ])
    }

    fn changes_after(&self, id: &str) -> Reply {
        let after: usize = id.split('-').next().unwrap().parse().unwrap();
        let shown = self.changes.len() - self.late;
        let entry = |(index, fields): (usize, &Vec<(&'static str, String)>)| {
            let number = [Reply::text("number"), Reply::text(&(index + 1))];
            let fields = fields.iter().flat_map(|(name, it)| [Reply::text(*name), Reply::text(it)]);
            let fields = number.into_iter().chain(fields).collect();
            Reply::Array(vec![Reply::text(&format!("{}-0", index + 1)), Reply::Array(fields)])
        };
        let changes = self.changes.iter().enumerate().take(shown).skip(after.max(self.lost));
        let changes = changes.take(self.most_changes.unwrap_or(usize::MAX));
        let entries: Vec<Reply> = changes.map(entry).collect();
        if entries.is_empty() {
            return Reply::Nothing;
        }
        Reply::Array(vec![Reply::Array(vec![Reply::text(keys::CHANGES), Reply::Array(entries)])])
    }

    /// Does what the script `replace_hour.lua` does, except for the reasons of missed slots.
    fn replace(&mut self, arguments: &[Vec<u8>]) -> bool {
        let text = |at: usize| String::from_utf8_lossy(&arguments[at]).into_owned();
        let (start, end): (i64, i64) = (text(0).parse().unwrap(), text(1).parse().unwrap());
        let read = self.text_of(start, end).into_iter();
        let lines: Vec<String> = read.map(|(member, score)| format!("{member}\n{score}")).collect();
        let block = self.blocks.get(&start).cloned().unwrap_or_default();
        let boundary = self.boundary.map(|at| at.to_string()).unwrap_or_default();
        let is_contended = self.contended > 0;
        self.contended = self.contended.saturating_sub(1);
        if is_contended
            || lines.join("\n") != text(2)
            || block != arguments[3]
            || boundary != text(4)
        {
            return false;
        }
        let (removed, added): (usize, usize) = (text(7).parse().unwrap(), text(8).parse().unwrap());
        let gone: Vec<String> = (9..9 + removed).map(text).collect();
        self.prices.retain(|(member, _)| !gone.contains(member));
        for at in (9 + removed..).step_by(2).take(added) {
            self.prices.push((text(at + 1), text(at).parse().unwrap()));
        }
        self.prices.sort_by(|(_, one), (_, other)| one.total_cmp(other));
        if arguments[5].is_empty() {
            self.blocks.remove(&start);
        } else {
            self.blocks.insert(start, arguments[5].clone());
        }
        self.boundary = text(6).parse().ok().or(self.boundary);
        self.changes.push(vec![("hour", start.to_string())]);
        true
    }
}
