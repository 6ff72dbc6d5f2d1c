//! The codec that passes payloads through apalis as bytes. A payload that apalis cannot decode would end
//! every worker that takes it; decoded by [`super::run`], it fails only its own job.

use std::convert::Infallible;

use apalis::prelude::Codec;

/// Encodes and decodes nothing.
#[derive(Debug, Clone)]
pub(super) struct RawBytes;

impl Codec<Vec<u8>> for RawBytes {
    type Error = Infallible;
    type Compact = Vec<u8>;

    fn encode(&self, bytes: &Vec<u8>) -> Result<Vec<u8>, Infallible> {
        Ok(bytes.clone())
    }

    fn decode(&self, bytes: &Vec<u8>) -> Result<Vec<u8>, Infallible> {
        Ok(bytes.clone())
    }
}
