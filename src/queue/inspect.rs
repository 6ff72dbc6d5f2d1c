//! The status of the queues, and the jobs in them.

use std::{collections::HashMap, sync::LazyLock, time::Duration};

use apalis_redis::Config;
use redis::{RedisResult, Script, pipe};

use super::{
    report::{JobReport, JobState, Pause, QueueReport, created_ms, job_report},
    settings,
};
use crate::{
    config,
    connection::{Server, SharedConnection},
};

static REPORT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("queue_report.lua")));

/// The number of ids per request, so that Redis is never blocked for long.
pub(super) const BATCH: usize = 500;

/// Reads and changes queues and their jobs for operators.
#[derive(Debug, Clone)]
pub struct Inspector {
    pub(super) connection: SharedConnection,
    queues: Vec<&'static str>,
    /// A worker that has sent no heartbeat for this long counts as dead.
    silence: Duration,
}

impl Inspector {
    /// Creates an inspector of the queues with these names. It connects to Redis on first use.
    pub fn new(server: &Server, queues: Vec<&'static str>, config: &config::Queue) -> Self {
        Self { connection: server.shared(), queues, silence: config.silence() }
    }

    /// Returns the names of the queues.
    pub fn names(&self) -> &[&'static str] {
        &self.queues
    }

    /// Returns the status of all queues.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn queues(&self) -> RedisResult<Vec<QueueReport>> {
        let mut reports = Vec::new();
        for name in &self.queues {
            reports.push(self.queue(name).await?);
        }
        Ok(reports)
    }

    async fn queue(&self, name: &'static str) -> RedisResult<QueueReport> {
        type Reply = (u64, u64, u64, u64, u64, i64, String, String, String, String, String);
        let settings = settings::for_queue(&self.connection, name).await?;
        let mut report = REPORT.key(settings.active_jobs_list());
        report.key(settings.scheduled_jobs_set()).key(settings.done_jobs_set());
        report.key(settings.dead_jobs_set()).key(settings.workers_set());
        report.key(settings::pause_key(&settings)).key(settings::held_list(&settings));
        report.key(settings::heartbeats_key(&settings));
        report.arg(settings.inflight_jobs_set()).arg(settings.job_meta_hash());
        report.arg(u64::try_from(self.silence.as_millis()).unwrap_or(u64::MAX));
        let (waiting, running, done, dead, workers, now, oldest, enqueued, since, by, note): Reply =
            report.invoke_async(&mut self.connection.clone()).await?;
        // Jobs of older versions have no such field, but their id contains the time of its creation.
        let enqueued = enqueued.parse().ok().or_else(|| created_ms(&oldest));
        Ok(QueueReport {
            name,
            paused: since.parse().ok().map(|since| Pause { since, by, note }),
            jobs: [waiting, running, done, dead],
            oldest_age_ms: enqueued.map(|at: i64| (now - at).max(0)),
            workers,
        })
    }

    /// Returns the number of jobs in the given queues and states.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn count(&self, queues: &[&'static str], states: &[JobState]) -> RedisResult<u64> {
        let mut count = 0;
        for queue in queues {
            let report = self.queue(queue).await?;
            count += states.iter().map(|state| report.count(*state)).sum::<u64>();
        }
        Ok(count)
    }

    /// Returns the jobs in the given queues and states, newest first: up to `count` jobs after the first
    /// `skipped`.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn jobs(
        &self,
        queues: &[&'static str],
        states: &[JobState],
        skipped: usize,
        count: usize,
    ) -> RedisResult<Vec<JobReport>> {
        let mut ids = Vec::new();
        for queue in queues {
            for state in states {
                let in_state = self.ids(queue, *state).await?;
                ids.extend(in_state.into_iter().map(|id| (id, *queue, *state)));
            }
        }
        ids.sort_unstable_by(|a, b| b.0.cmp(&a.0));
        ids.dedup_by(|a, b| a.0 == b.0);
        self.read(ids.into_iter().skip(skipped).take(count).collect()).await
    }

    /// Returns the job with the id, from any queue.
    ///
    /// # Errors
    /// Returns an error if Redis fails.
    pub async fn job(&self, id: &str) -> RedisResult<Option<JobReport>> {
        for queue in &self.queues {
            let settings = settings::for_queue(&self.connection, queue).await?;
            let mut lookup = pipe();
            lookup.hexists(settings.job_data_hash(), id).sismember(settings.done_jobs_set(), id);
            lookup.sismember(settings.dead_jobs_set(), id);
            let (exists, is_done, is_dead): (bool, bool, bool) =
                lookup.query_async(&mut self.connection.clone()).await?;
            if !exists {
                continue;
            }
            let state = match (is_done, is_dead) {
                (true, _) => JobState::Done,
                (_, true) => JobState::Dead,
                _ if self.in_flight(&settings).await?.iter().any(|it| it == id) => {
                    JobState::Running
                }
                _ => JobState::Waiting,
            };
            return Ok(self.read(vec![(id.to_owned(), *queue, state)]).await?.pop());
        }
        Ok(None)
    }

    /// Returns the ids of all jobs in a state, in any order. An id can be repeated if jobs are removed at the
    /// same time.
    pub(super) async fn ids(&self, queue: &str, state: JobState) -> RedisResult<Vec<String>> {
        let settings = settings::for_queue(&self.connection, queue).await?;
        match state {
            JobState::Waiting => self.waiting(&settings).await,
            JobState::Running => self.in_flight(&settings).await,
            JobState::Done => self.members(settings.done_jobs_set()).await,
            JobState::Dead => self.members(settings.dead_jobs_set()).await,
        }
    }

    async fn waiting(&self, settings: &Config) -> RedisResult<Vec<String>> {
        let mut read = pipe();
        read.lrange(settings.active_jobs_list(), 0, -1);
        read.zrange(settings.scheduled_jobs_set(), 0, -1);
        read.lrange(settings::held_list(settings), 0, -1);
        let (active, scheduled, held): (Vec<String>, Vec<String>, Vec<String>) =
            read.query_async(&mut self.connection.clone()).await?;
        Ok([active, scheduled, held].concat())
    }

    async fn in_flight(&self, settings: &Config) -> RedisResult<Vec<String>> {
        let connection = &mut self.connection.clone();
        let mut workers = redis::cmd("ZRANGE");
        workers.arg(settings.workers_set()).arg(0).arg(-1);
        let workers: Vec<String> = workers.query_async(connection).await?;
        if workers.is_empty() {
            return Ok(Vec::new());
        }
        let mut read = pipe();
        for worker in workers {
            read.smembers(format!("{}:{worker}", settings.inflight_jobs_set()));
        }
        let jobs: Vec<Vec<String>> = read.query_async(connection).await?;
        Ok(jobs.concat())
    }

    async fn members(&self, set: String) -> RedisResult<Vec<String>> {
        let (mut cursor, mut ids) = (0_u64, Vec::new());
        loop {
            let mut scan = redis::cmd("SSCAN");
            scan.arg(&set).arg(cursor).arg("COUNT").arg(BATCH);
            let (next, batch): (u64, Vec<String>) =
                scan.query_async(&mut self.connection.clone()).await?;
            ids.extend(batch);
            cursor = next;
            if cursor == 0 {
                return Ok(ids);
            }
        }
    }

    async fn read(
        &self,
        jobs: Vec<(String, &'static str, JobState)>,
    ) -> RedisResult<Vec<JobReport>> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let mut read = pipe();
        for (id, queue, _) in &jobs {
            let settings = settings::for_queue(&self.connection, queue).await?;
            read.hget(settings.job_data_hash(), id);
            read.hgetall(format!("{}:{id}", settings.job_meta_hash()));
        }
        let values: Vec<redis::Value> = read.query_async(&mut self.connection.clone()).await?;
        let (pairs, _) = values.as_chunks::<2>();
        let mut reports = Vec::new();
        for ((id, queue, state), [data, meta]) in jobs.into_iter().zip(pairs) {
            let data: Option<Vec<u8>> = redis::from_redis_value_ref(data)?;
            let meta: HashMap<String, String> = redis::from_redis_value_ref(meta)?;
            reports.push(job_report(id, queue, state, &data.unwrap_or_default(), &meta));
        }
        Ok(reports)
    }
}
