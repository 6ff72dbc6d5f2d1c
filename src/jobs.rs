//! The jobs, one file each. May use the domain, the exchange, the store and the queue.

mod fetch_btc_ars;

pub use fetch_btc_ars::{FetchBtcArs, FetchContext, FetchError};
