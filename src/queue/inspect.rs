//! How the queues are, and which jobs are in them.

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

static REPORT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("report.lua")));

/// How many ids one call reads, so that Redis is never held up for long.
pub(super) const PIECE: usize = 500;

/// Looks at queues and their jobs, and changes them for operators.
#[derive(Debug, Clone)]
pub struct Inspector {
    pub(super) connection: SharedConnection,
    queues: Vec<&'static str>,
    /// The silence after which a worker counts as dead.
    silence: Duration,
}

impl Inspector {
    /// An inspector of the queues of these names, on a Redis that is connected to on first use.
    pub fn new(server: &Server, queues: Vec<&'static str>, config: &config::Queue) -> Self {
        Self { connection: server.shared(), queues, silence: config.silence() }
    }

    /// The names of the queues.
    pub fn names(&self) -> &[&'static str] {
        &self.queues
    }

    /// How all queues are.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn queues(&self) -> RedisResult<Vec<QueueReport>> {
        let mut reports = Vec::new();
        for name in &self.queues {
            reports.push(self.queue(name).await?);
        }
        Ok(reports)
    }

    async fn queue(&self, name: &'static str) -> RedisResult<QueueReport> {
        type Answer = (u64, u64, u64, u64, u64, i64, String, String, String, String, String);
        let settings = settings::of(&self.connection, name).await?;
        let mut report = REPORT.key(settings.active_jobs_list());
        report.key(settings.scheduled_jobs_set()).key(settings.done_jobs_set());
        report.key(settings.dead_jobs_set()).key(settings.workers_set());
        report.key(settings::pause(&settings)).key(settings::held(&settings));
        report.key(settings::alive_set(&settings));
        report.arg(settings.inflight_jobs_set()).arg(settings.job_meta_hash());
        report.arg(u64::try_from(self.silence.as_millis()).unwrap_or(u64::MAX));
        let (waiting, running, done, dead, workers, now, oldest, enqueued, since, by, note): Answer =
            report.invoke_async(&mut self.connection.clone()).await?;
        // A job of an older version has no such note, but an id that was made when it was enqueued.
        let enqueued = enqueued.parse().ok().or_else(|| created_ms(&oldest));
        Ok(QueueReport {
            name,
            paused: since.parse().ok().map(|since| Pause { since, by, note }),
            jobs: [waiting, running, done, dead],
            oldest_age_ms: enqueued.map(|at: i64| (now - at).max(0)),
            workers,
        })
    }

    /// How many jobs are in one of the states of one of the queues.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn count(&self, queues: &[&'static str], states: &[JobState]) -> RedisResult<u64> {
        let mut count = 0;
        for queue in queues {
            let report = self.queue(queue).await?;
            count += states.iter().map(|state| report.count(*state)).sum::<u64>();
        }
        Ok(count)
    }

    /// Some of the jobs in one of the states of one of the queues, newest first: `count` of them after
    /// `skipped`.
    ///
    /// # Errors
    /// If Redis fails.
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
                let of_state = self.ids(queue, *state).await?;
                ids.extend(of_state.into_iter().map(|id| (id, *queue, *state)));
            }
        }
        ids.sort_unstable_by(|one, other| other.0.cmp(&one.0));
        ids.dedup_by(|one, other| one.0 == other.0);
        self.read(ids.into_iter().skip(skipped).take(count).collect()).await
    }

    /// The job of an id, wherever it is.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn job(&self, id: &str) -> RedisResult<Option<JobReport>> {
        for queue in &self.queues {
            let settings = settings::of(&self.connection, queue).await?;
            let mut look = pipe();
            look.hexists(settings.job_data_hash(), id).sismember(settings.done_jobs_set(), id);
            look.sismember(settings.dead_jobs_set(), id);
            let (is_here, is_done, is_dead): (bool, bool, bool) =
                look.query_async(&mut self.connection.clone()).await?;
            if !is_here {
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

    /// The ids of all jobs in a state, in any order; one may come twice while others are removed.
    pub(super) async fn ids(&self, queue: &str, state: JobState) -> RedisResult<Vec<String>> {
        let settings = settings::of(&self.connection, queue).await?;
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
        read.lrange(settings::held(settings), 0, -1);
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
            scan.arg(&set).arg(cursor).arg("COUNT").arg(PIECE);
            let (next, piece): (u64, Vec<String>) =
                scan.query_async(&mut self.connection.clone()).await?;
            ids.extend(piece);
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
            let settings = settings::of(&self.connection, queue).await?;
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
