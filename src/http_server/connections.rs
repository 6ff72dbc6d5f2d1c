//! The table of open connections: how many there are, what is expected of each, which is closed.

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

/// How often the table is looked through.
const EVERY: Duration = Duration::from_millis(500);
/// How often it is logged that connections are closed by a limit.
const REPORT_EVERY: Duration = Duration::from_mins(1);

/// What clients may do.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at the same time.
    pub connections: usize,
    /// Connections of one address at the same time.
    pub per_address: usize,
    /// The networks of proxies, whose connections are those of many clients.
    pub proxies: Networks,
    /// The bytes of a request before its body.
    pub head: usize,
    /// How long a client may take to send that.
    pub header_timeout: Duration,
    /// How long a connection may have no request.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of an answer.
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

/// The entry of a connection in the table, which is removed when this is dropped.
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
    /// How long a connection may be in a phase.
    fn patience(&self, phase: Phase) -> Duration {
        match phase {
            Phase::New | Phase::Head => self.header_timeout,
            Phase::Answering => self.write_timeout,
            // No handler takes as long; the client has not sent the body of its request.
            Phase::Handling | Phase::Idle => self.idle_timeout,
        }
    }
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, table: Mutex::default(), next: AtomicU64::new(0) })
    }

    /// Takes a connection into the table; closes the one that has been idle for longest if there are
    /// too many, of this address or at all. `spawn` starts the task of the connection.
    pub(super) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        spawn: impl FnOnce(Entry) -> AbortHandle,
    ) {
        let is_proxy = self.limits.proxies.contain(address);
        let address = super::client_of(address);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let activity = Arc::new(Activity::default());
        let mut table = self.table.lock();
        let of_address = table.of_address.get(&address).copied().unwrap_or_default();
        if !is_proxy && of_address >= self.limits.per_address {
            if !table.close_idlest(|open| open.address == address) {
                return;
            }
            table.report("too many connections of one address; the idlest is closed");
        } else if table.open.len() >= self.limits.connections {
            if !table.close_idlest(|_| true) {
                return;
            }
            table.report("too many connections; the idlest is closed");
        }
        *table.of_address.entry(address).or_default() += 1;
        table.open.insert(id, Open { address, activity: Arc::clone(&activity), task: None });
        drop(table);
        let task = spawn(Entry { id, activity, connections: Arc::clone(self) });
        if let Some(open) = self.table.lock().open.get_mut(&id) {
            open.task = Some(task);
        }
    }

    /// Closes the connection that has been idle for longest.
    pub(super) fn close_idlest(&self) {
        self.table.lock().close_idlest(|_| true);
    }

    /// Closes all connections.
    pub(super) fn close_all(&self) {
        for open in self.table.lock().open.values() {
            open.close();
        }
    }

    /// Closes for ever the connections of clients that take too long.
    pub(super) async fn close_overdue(self: Arc<Self>) {
        loop {
            sleep(EVERY).await;
            let now = Instant::now();
            let is_overdue = |open: &&Open| {
                let (phase, since) = open.activity.get();
                now.saturating_duration_since(since) > self.limits.patience(phase)
            };
            self.table.lock().open.values().filter(is_overdue).for_each(Open::close);
        }
    }
}

impl Table {
    /// Closes the connection that has been idle for longest, of those that are wanted. One whose
    /// request is being handled is not idle.
    fn close_idlest(&mut self, wanted: impl Fn(&Open) -> bool) -> bool {
        let idle = self.open.iter().filter(|(_, open)| wanted(open)).filter_map(|(id, open)| {
            let (phase, since) = open.activity.get();
            // A connection whose client reads an answer is closed only if all others are busy.
            (phase != Phase::Handling).then_some((phase == Phase::Answering, since, *id))
        });
        let Some(open) = idle.min().and_then(|(_, _, id)| self.remove(id)) else { return false };
        open.close();
        true
    }

    /// Logs what a limit has done, once a minute.
    fn report(&mut self, what: &str) {
        if self.reported.is_none_or(|at| at.elapsed() > REPORT_EVERY) {
            self.reported = Some(Instant::now());
            tracing::warn!(open = self.open.len(), "{what}");
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
