//! What is remembered of the rollups between questions: it saves a mean most of its reading.

use std::{collections::HashMap, sync::Arc};

use super::rollups::Frame;

/// The most nodes that are remembered, at up to half a kilobyte each.
const MOST: usize = 4096;

/// The frame that was last read, and the sums of nodes that were read under it.
#[derive(Debug, Default)]
pub(super) struct Known {
    frame: Frame,
    /// By level and first second.
    sums: HashMap<(usize, i64), Arc<[u8]>>,
}

impl Known {
    pub(super) fn frame(&self) -> Frame {
        self.frame
    }

    /// The sums of a node as they are under the frame, if they are known.
    pub(super) fn sums(&self, level: usize, start: i64) -> Option<Arc<[u8]>> {
        self.sums.get(&(level, start)).cloned()
    }

    /// Takes in a frame, and what was read with it. What was known under another one is forgotten.
    pub(super) fn note(&mut self, frame: Frame, sums: Vec<((usize, i64), Vec<u8>)>) {
        if frame != self.frame || self.sums.len() + sums.len() > MOST {
            *self = Self { frame, sums: HashMap::new() };
        }
        self.sums.extend(sums.into_iter().map(|(node, sums)| (node, sums.into())));
    }
}
