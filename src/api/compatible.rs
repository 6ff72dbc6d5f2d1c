//! Endpoints that are compatible with other price APIs, one file for each, so that their clients work with
//! Cotiza. Unknown parameters are ignored, as the original APIs do. May use the domain, the configuration,
//! the history and its store.

mod coingecko;
mod criptoya;

pub(super) use self::{coingecko::CoinGecko, criptoya::CriptoYa};
