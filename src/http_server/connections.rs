//! The table of open connections: enforces their number and time limits. Depends on the configuration.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{task::AbortHandle, time::sleep};

use super::socket::{Activity, Phase};
use crate::config::{self, Networks};

/// The interval between two checks of the table.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// The minimum interval between two log lines about connections that were closed by a limit.
const REPORT_INTERVAL: Duration = Duration::from_mins(1);

/// The limits for clients.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The maximum number of concurrent connections.
    pub connections: usize,
    /// The maximum number of concurrent connections of one address.
    pub per_address: usize,
    /// The networks of proxies, to which `per_address` does not apply because they serve many clients.
    pub proxies: Networks,
    /// The maximum size of a request without its body, in bytes.
    pub head: usize,
    /// The time limit for a client to send the head of a request.
    pub header_timeout: Duration,
    /// The time limit for a connection without a request.
    pub idle_timeout: Duration,
    /// The time limit for a client that reads nothing of a response.
    pub write_timeout: Duration,
}

/// All open connections.
#[derive(Debug)]
pub(super) struct Connections {
    limits: Limits,
    table: Mutex<Table>,
    next: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    open: HashMap<u64, Open>,
    of_address: HashMap<IpAddr, usize>,
    reported: Option<Instant>,
}

#[derive(Debug)]
struct Open {
    address: IpAddr,
    activity: Arc<Activity>,
    task: Option<AbortHandle>,
}

/// A handle of a connection in the table. Its drop removes the connection from the table.
#[derive(Debug)]
pub(super) struct Entry {
    id: u64,
    activity: Arc<Activity>,
    connections: Arc<Connections>,
}

impl From<&config::Api> for Limits {
    fn from(api: &config::Api) -> Self {
        let bytes = |size: bytesize::ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
        Self {
            connections: api.max_connections,
            per_address: api.max_connections_per_address,
            proxies: api.trusted_proxies.clone(),
            head: bytes(api.max_headers),
            header_timeout: api.header_timeout,
            idle_timeout: api.idle_timeout,
            write_timeout: api.write_timeout,
        }
    }
}

impl Limits {
    /// Returns how long a connection may stay in a phase.
    fn time_limit(&self, phase: Phase) -> Duration {
        match phase {
            Phase::New | Phase::Head => self.header_timeout,
            Phase::Responding => self.write_timeout,
            // No handler runs this long: the client has not sent the body of its request.
            Phase::Handling | Phase::Idle => self.idle_timeout,
        }
    }
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, table: Mutex::default(), next: AtomicU64::new(0) })
    }

    /// Adds a connection to the table. If there are too many of its address or in total, closes the one that
    /// has been idle longest; if none is idle, rejects the new one. `spawn` starts the task of the
    /// connection.
    pub(super) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        spawn: impl FnOnce(Entry) -> AbortHandle,
    ) {
        let is_proxy = self.limits.proxies.contains(address);
        let address = super::client_network(address);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let activity = Arc::new(Activity::default());
        let mut table = self.table.lock();
        let of_address = table.of_address.get(&address).copied().unwrap_or_default();
        if !is_proxy && of_address >= self.limits.per_address {
            if !table.close_longest_idle(|open| open.address == address) {
                return;
            }
            table.report(
                "too many connections of one address; closing the one that has been idle longest",
            );
        } else if table.open.len() >= self.limits.connections {
            if !table.close_longest_idle(|_| true) {
                return;
            }
            table.report("too many connections; closing the one that has been idle longest");
        }
        *table.of_address.entry(address).or_default() += 1;
        table.open.insert(id, Open { address, activity: Arc::clone(&activity), task: None });
        drop(table);
        let task = spawn(Entry { id, activity, connections: Arc::clone(self) });
        if let Some(open) = self.table.lock().open.get_mut(&id) {
            open.task = Some(task);
        }
    }

    /// Closes the connection that has been idle longest.
    pub(super) fn close_longest_idle(&self) {
        self.table.lock().close_longest_idle(|_| true);
    }

    /// Closes all connections.
    pub(super) fn close_all(&self) {
        for open in self.table.lock().open.values() {
            open.close();
        }
    }

    /// Closes connections that exceed a time limit. Never returns.
    pub(super) async fn close_overdue(self: Arc<Self>) {
        loop {
            sleep(CHECK_INTERVAL).await;
            let now = Instant::now();
            let is_overdue = |open: &&Open| {
                let (phase, since) = open.activity.get();
                now.saturating_duration_since(since) > self.limits.time_limit(phase)
            };
            self.table.lock().open.values().filter(is_overdue).for_each(Open::close);
        }
    }
}

impl Table {
    /// Closes the connection that has been idle longest among those that `accepts` returns true for. A
    /// connection whose request is being handled is not idle. Returns whether a connection was closed.
    fn close_longest_idle(&mut self, accepts: impl Fn(&Open) -> bool) -> bool {
        let idle = self.open.iter().filter(|(_, open)| accepts(open)).filter_map(|(id, open)| {
            let (phase, since) = open.activity.get();
            // A connection whose client is reading a response is closed only if no other one is idle.
            (phase != Phase::Handling).then_some((phase == Phase::Responding, since, *id))
        });
        let Some(open) = idle.min().and_then(|(_, _, id)| self.remove(id)) else { return false };
        open.close();
        true
    }

    /// Logs that a limit applied, at most once a minute.
    fn report(&mut self, message: &str) {
        if self.reported.is_none_or(|at| at.elapsed() > REPORT_INTERVAL) {
            self.reported = Some(Instant::now());
            tracing::warn!(open = self.open.len(), "{message}");
        }
    }

    fn remove(&mut self, id: u64) -> Option<Open> {
        let open = self.open.remove(&id)?;
        if let Some(count) = self.of_address.get_mut(&open.address) {
            *count -= 1;
            if *count == 0 {
                self.of_address.remove(&open.address);
            }
        }
        Some(open)
    }
}

impl Open {
    fn close(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Entry {
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.connections.table.lock().remove(self.id);
    }
}
