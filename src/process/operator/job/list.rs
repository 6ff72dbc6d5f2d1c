//! `cotiza job ls`: lists jobs. Depends on `api`, `domain` and `queue`.

use anyhow::Context as _;
use serde_json::json;

use crate::{
    api::{JobResponse, job_page},
    domain::{Page, PageNumber, PageSize},
    process::operator::{
        Operator,
        output::{empty_cell, optional_moment, print, table},
    },
    queue::JobState,
};

pub(super) async fn run(
    operator: &Operator<'_>,
    states: &[JobState],
    queue: Option<&str>,
    page: PageNumber,
    size: PageSize,
    json: bool,
) -> anyhow::Result<()> {
    let queues = match queue {
        None => operator.inspector.names().to_vec(),
        Some(name) => vec![operator.queue(name)?],
    };
    let page = job_page(&operator.inspector, &queues, states, page, size).await?;
    let Page { count, number, pages, items: jobs } =
        page.context("there is no such page; `last` is the last one")?;
    if json {
        let answer = json!({ "count": count, "page": number, "pages": pages, "results": jobs });
        return print(&serde_json::to_string_pretty(&answer)?);
    }
    print(&job_table(jobs))?;
    print(&format!("\n{count} jobs, page {number} of {pages}"))
}

/// Formats jobs as a table.
pub(in crate::process::operator) fn job_table(jobs: Vec<JobResponse>) -> String {
    let rows = jobs.into_iter().map(|job| {
        vec![
            job.id,
            job.queue,
            job.job.to_string(),
            job.state.name().to_owned(),
            optional_moment(job.enqueued_at),
            job.duration.map_or_else(empty_cell, |took| format!("{took:.3} s")),
            job.error.unwrap_or_else(empty_cell),
        ]
    });
    table(&["ID", "QUEUE", "JOB", "STATE", "ENQUEUED", "TOOK", "ERROR"], rows)
}
