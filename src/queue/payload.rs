//! Payloads pass through apalis unread. It would end every worker that meets one it cannot
//! decode; read by us, the job alone is given up.

use std::convert::Infallible;

use apalis::prelude::Codec;

/// Hands the bytes on as they are.
#[derive(Debug, Clone)]
pub(super) struct Unread;

impl Codec<Vec<u8>> for Unread {
    type Error = Infallible;
    type Compact = Vec<u8>;

    fn encode(&self, bytes: &Vec<u8>) -> Result<Vec<u8>, Infallible> {
        Ok(bytes.clone())
    }

    fn decode(&self, bytes: &Vec<u8>) -> Result<Vec<u8>, Infallible> {
        Ok(bytes.clone())
    }
}
