//! `cotiza doctor`: checks Redis, the processes and the sources, and prints one line per finding. Depends on
//! `preflight`, `config`, `domain` and `store`.

use std::io::{Write as _, stdout};

use anyhow::bail;

use super::preflight::{self, Finding, Verdict};
use crate::{
    config::Config,
    domain::CircuitState,
    store::{Role, Store},
};

/// Prints all findings.
///
/// # Errors
/// Returns an error if a finding is unfit.
pub async fn run(config: &Config, json: bool) -> anyhow::Result<()> {
    let (store, server) = super::store(config)?;
    let mut findings = preflight::check(&store, &server).await;
    if findings.iter().all(|finding| finding.verdict != Verdict::Unfit) {
        findings.extend(processes(&store).await);
        findings.push(sources(&store, config).await);
    }
    let mut out = stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&findings)?)?;
    } else {
        for Finding { check, verdict, text } in &findings {
            let verdict = match verdict {
                Verdict::Ok => "ok",
                Verdict::Warning => "warning",
                Verdict::Unfit => "unfit",
            };
            writeln!(out, "{verdict:<8} {check:<17} {text}")?;
        }
    }
    match findings.iter().filter(|finding| finding.verdict == Verdict::Unfit).count() {
        0 => Ok(()),
        1 => bail!("one check found something unfit"),
        count => bail!("{count} checks found something unfit"),
    }
}

/// Checks that schedulers and workers are alive.
async fn processes(store: &Store) -> Vec<Finding> {
    let all = match store.processes().await {
        Ok(all) => all,
        Err(error) => return vec![Finding::new("processes", Verdict::Unfit, error.to_string())],
    };
    let finding = |(check, role, effect): (&'static str, Role, &str)| {
        let alive = all.iter().filter(|process| process.role == role && process.is_alive()).count();
        match alive {
            0 => Finding::new(check, Verdict::Warning, format!("none is alive, so {effect}")),
            count => Finding::new(check, Verdict::Ok, format!("{count} alive")),
        }
    };
    let roles = [
        ("schedulers", Role::Scheduler, "no slot is scheduled; start `cotiza scheduler`"),
        ("workers", Role::Worker, "no price is recorded; start `cotiza worker`"),
    ];
    roles.map(finding).into()
}

/// Checks the circuit breakers of the enabled sources, as workers reported them.
async fn sources(store: &Store, config: &Config) -> Finding {
    let names: Vec<&str> =
        config.sources.enabled().into_iter().map(|(name, _)| name.as_str()).collect();
    let reports = match store.source_reports(&names).await {
        Ok(reports) => reports,
        Err(error) => return Finding::new("sources", Verdict::Unfit, error.to_string()),
    };
    let mut verdict = Verdict::Ok;
    let states: Vec<String> = names
        .iter()
        .zip(&reports)
        .map(|(name, report)| {
            if report.circuits.is_empty() {
                return format!("{name} is not used by any worker");
            }
            if report.circuits.iter().any(|circuit| circuit.state == CircuitState::Closed) {
                return format!("{name} responds");
            }
            verdict = Verdict::Warning;
            format!("{name} fails; `cotiza sources check {name}` shows why")
        })
        .collect();
    Finding::new("sources", verdict, states.join("; "))
}
