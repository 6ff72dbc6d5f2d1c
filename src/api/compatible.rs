//! The endpoints of other price APIs, so that their clients work with Cotiza: one file an API. Parameters
//! that are not known are ignored here, as the originals do.

mod coingecko;
mod criptoya;

pub(super) use self::{coingecko::CoinGecko, criptoya::CriptoYa};
