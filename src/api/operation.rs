//! How Cotiza runs: queues, jobs, processes, and all of it in one answer. Operators see it on the page at
//! `/` and with `cotiza status`; programs ask here.

mod jobs;
mod problems;
mod processes;
mod queues;
mod status;

use std::sync::Arc;

use poem::Request;
use poem_openapi::{OpenApi, param::Query};

pub use self::{
    jobs::{JobResponse, job_page},
    processes::{ProcessListResponse, ProcessResponse, processes},
    queues::{QueueListResponse, QueueResponse, queues},
    status::{StatusResponse, status},
};
use super::{
    Tag, answer::Answer, error::ApiError, listing::ListingAnswer, params::JobStateName,
    proxies::Proxies,
};
use crate::{
    config::Config,
    domain::{PageNumber, PageSize},
    history::{History, Known},
    queue::{Inspector, JobState},
};

pub(super) struct Operation {
    history: Arc<History>,
    inspector: Inspector,
    config: Config,
    proxies: Proxies,
}

impl Operation {
    pub(super) fn new(history: Arc<History>, inspector: Inspector, config: &Config) -> Self {
        Self { history, inspector, config: config.clone(), proxies: (&config.api).into() }
    }

    /// The queues that were asked for.
    fn chosen(&self, queue: Option<&str>) -> Result<Vec<&'static str>, ApiError> {
        let all = self.inspector.names();
        let Some(wanted) = queue else { return Ok(all.to_vec()) };
        if let Some(name) = all.iter().find(|name| **name == wanted) {
            return Ok(vec![*name]);
        }
        let wanted: String = wanted.chars().take(40).collect();
        let detail = format!("{wanted:?} is not a queue: give {}", all.join(" or "));
        Err(ApiError::parameter("queue", detail))
    }
}

/// An answer about this moment.
fn now<T>(value: T) -> Known<T> {
    Known { value, until: None }
}

#[OpenApi(tag = "Tag::Operation")]
impl Operation {
    /// Status
    ///
    /// How everything is, in one answer: the last price, the last 24 hours, queues, processes, sources,
    /// Redis, and what is wrong. Also answered while Redis cannot be reached.
    #[oai(path = "/api/status", method = "get", operation_id = "status")]
    async fn status(&self) -> Result<Answer<StatusResponse>, ApiError> {
        let status = status(&self.history, &self.inspector, &self.config).await;
        Ok(Answer::of(now(status), |status| status))
    }

    /// Queues
    ///
    /// The queues of jobs: how many jobs wait, run, are done and were given up; whether it is paused.
    #[oai(path = "/api/queues", method = "get", operation_id = "queues")]
    async fn queues(&self) -> Result<Answer<QueueListResponse>, ApiError> {
        Ok(Answer::of(now(queues(&self.inspector).await?), |queues| queues))
    }

    /// Jobs
    ///
    /// The jobs that are in the queues, newest first, page by page. Finished ones are remembered for a
    /// while: `queue.keep_done` and `queue.keep_dead`.
    #[oai(path = "/api/jobs", method = "get", operation_id = "jobs")]
    async fn jobs(
        &self,
        request: &Request,
        /// Those in this state; without it, in any.
        state: Query<Option<JobStateName>>,
        /// Those of this queue; without it, of any.
        queue: Query<Option<String>>,
        /// Which page: a whole number from 1, or `last`.
        page: Query<Option<PageNumber>>,
        /// Jobs a page.
        page_size: Query<Option<PageSize>>,
    ) -> Result<ListingAnswer<JobResponse>, ApiError> {
        let queues = self.chosen(queue.0.as_deref())?;
        let states = match state.0 {
            None => JobState::ALL.to_vec(),
            Some(JobStateName(state)) => vec![state],
        };
        let (number, size) = (page.0.unwrap_or_default(), page_size.0.unwrap_or_default());
        let page = job_page(&self.inspector, &queues, &states, number, size).await?;
        Ok(ListingAnswer::of(now(page), request, &self.proxies))
    }

    /// Processes
    ///
    /// The schedulers, workers and apis that were at work within the last hour, and the jobs that workers
    /// run right now.
    #[oai(path = "/api/processes", method = "get", operation_id = "processes")]
    async fn processes(&self) -> Result<Answer<ProcessListResponse>, ApiError> {
        let processes = processes(self.history.store(), &self.inspector).await?;
        Ok(Answer::of(now(processes), |processes| processes))
    }
}
