//! The endpoints for operators: status, queues, jobs and processes. The page at `/` and `cotiza status` show
//! the same data. May use the domain, the configuration, the history, its store and the queue.

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
    history::{Answered, History},
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

    /// Returns the requested queue, or all queues.
    ///
    /// # Errors
    /// Returns an error if no queue has this name.
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

/// Wraps a value that is up to date.
fn now<T>(value: T) -> Answered<T> {
    Answered { value, until: None }
}

#[OpenApi(tag = "Tag::Operation")]
impl Operation {
    /// Status
    ///
    /// Returns the status of the whole system: current problems, the last price, the coverage of the last 24
    /// hours, queues, processes, sources and Redis. It is also available while Redis is unreachable; the
    /// parts that are unknown then are null or empty.
    #[oai(path = "/api/status", method = "get", operation_id = "status")]
    async fn status(&self) -> Result<Answer<StatusResponse>, ApiError> {
        let status = status(&self.history, &self.inspector, &self.config).await;
        Ok(Answer::of(now(status), |status| status))
    }

    /// Queues
    ///
    /// Returns the queues, with the number of waiting, running, done and dead jobs, the number of workers,
    /// and whether each queue is paused.
    #[oai(path = "/api/queues", method = "get", operation_id = "queues")]
    async fn queues(&self) -> Result<Answer<QueueListResponse>, ApiError> {
        Ok(Answer::of(now(queues(&self.inspector).await?), |queues| queues))
    }

    /// Jobs
    ///
    /// Returns the jobs in the queues, newest first, in pages. Finished jobs are kept for a limited time: see
    /// `queue.keep_done` and `queue.keep_dead` in the configuration.
    #[oai(path = "/api/jobs", method = "get", operation_id = "jobs")]
    async fn jobs(
        &self,
        request: &Request,
        /// State of the jobs. Default: any state.
        state: Query<Option<JobStateName>>,
        /// Name of the queue. Default: all queues.
        queue: Query<Option<String>>,
        /// Number of the page: a whole number from 1, or `last`. Default: 1.
        page: Query<Option<PageNumber>>,
        /// Maximum number of jobs in a page.
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
    /// Returns the schedulers, workers and APIs that sent a heartbeat within the last hour and have not shut
    /// down since, with the jobs that each worker is running.
    #[oai(path = "/api/processes", method = "get", operation_id = "processes")]
    async fn processes(&self) -> Result<Answer<ProcessListResponse>, ApiError> {
        let processes = processes(self.history.store(), &self.inspector).await?;
        Ok(Answer::of(now(processes), |processes| processes))
    }
}
