//! The ordered log of everything that happened lately: what watches read.
//!
//! One writer appends, any number of readers follow without a lock: entries stand in segments that are filled
//! once, and the list of segments is replaced as a whole. The log is bounded by bytes and age; whole segments
//! fall off its old end. Invariant: revisions ascend, and a reader is either given every entry after its
//! position or told [`Gone`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;

use super::record::Record;
use super::{Gone, Revision};
use crate::limits::{LOG_AGE, LOG_BYTES, LOG_SEGMENT};
use crate::world::Moment;

/// One change of one object.
#[derive(Clone, Debug)]
pub struct Change {
    /// The revision that it made.
    pub revision: Revision,
    /// The object before; `None` if it was created.
    pub old: Option<Arc<Record>>,
    /// The object after; for a deletion its last state with the revision of the deletion.
    pub new: Arc<Record>,
    /// The object is gone.
    pub deleted: bool,
}

struct Segment {
    slots: Box<[OnceLock<Arc<Change>>]>,
    weight: AtomicU64,
    born: Moment,
}

#[derive(Clone)]
struct Segments {
    /// The position of the first slot of the first segment.
    first: u64,
    /// The newest revision that fell off, or the one that the log began at.
    forgotten: Revision,
    list: Vec<Arc<Segment>>,
}

pub(super) struct Log {
    segments: ArcSwap<Segments>,
    /// The position after the last entry.
    end: AtomicU64,
}

impl Log {
    pub fn new(began_at: Revision) -> Log {
        let segments = Segments { first: 0, forgotten: began_at, list: Vec::new() };
        Log { segments: ArcSwap::from_pointee(segments), end: AtomicU64::new(0) }
    }

    /// The position after the newest entry.
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// The newest revision that can no longer be read.
    pub fn forgotten(&self) -> Revision {
        self.segments.load().forgotten
    }

    /// Appends. Must be called by one writer at a time.
    pub fn push(&self, change: Arc<Change>, now: Moment) -> u64 {
        let position = self.end.load(Ordering::Relaxed);
        let mut segments = self.segments.load();
        let mut index = ((position - segments.first) as usize) / LOG_SEGMENT;
        if index == segments.list.len() {
            let mut next = (**segments).clone();
            next.list.push(Arc::new(Segment {
                slots: (0..LOG_SEGMENT).map(|_| OnceLock::new()).collect(),
                weight: AtomicU64::new(0),
                born: now,
            }));
            self.trim(&mut next, now);
            self.segments.store(Arc::new(next));
            segments = self.segments.load();
            index = segments.list.len() - 1;
        }
        let segment = &segments.list[index];
        segment.weight.fetch_add(change.new.weight() as u64, Ordering::Relaxed);
        let _ = segment.slots[(position as usize) % LOG_SEGMENT].set(change);
        self.end.store(position + 1, Ordering::Release);
        position
    }

    /// Drops whole segments from the old end: those beyond the bytes, and those beyond the age.
    fn trim(&self, segments: &mut Segments, now: Moment) {
        let mut weight: u64 = segments.list.iter().map(|s| s.weight.load(Ordering::Relaxed)).sum();
        while segments.list.len() > 1 {
            // A segment's entries are no younger than the birth of the next one.
            let old = now.since(segments.list[1].born) > LOG_AGE;
            if weight <= LOG_BYTES as u64 && !old {
                break;
            }
            let dropped = segments.list.remove(0);
            weight -= dropped.weight.load(Ordering::Relaxed);
            segments.first += LOG_SEGMENT as u64;
            if let Some(change) = dropped.slots.last().and_then(OnceLock::get) {
                segments.forgotten = change.revision;
            }
        }
    }

    /// The entries from `position` to the end, oldest first, at most `most`.
    pub fn read(&self, position: u64, most: usize, mut each: impl FnMut(&Arc<Change>)) -> Result<u64, Gone> {
        let end = self.end().min(position + most as u64);
        let segments = self.segments.load();
        if position < segments.first {
            return Err(Gone);
        }
        for at in position..end {
            let offset = (at - segments.first) as usize;
            let slot = segments.list.get(offset / LOG_SEGMENT).map(|s| &s.slots[offset % LOG_SEGMENT]);
            match slot.and_then(OnceLock::get) {
                Some(change) => each(change),
                // The list of segments was read before a new one was added; the reader comes again.
                None => return Ok(at),
            }
        }
        Ok(end.max(position))
    }

    /// The position of the first entry after `revision`.
    pub fn position_after(&self, revision: Revision) -> Result<u64, Gone> {
        let end = self.end();
        let segments = self.segments.load();
        if revision < segments.forgotten {
            return Err(Gone);
        }
        let revision_at = |at: u64| {
            let offset = (at - segments.first) as usize;
            segments.list[offset / LOG_SEGMENT].slots[offset % LOG_SEGMENT].get().map(|c| c.revision)
        };
        let last = segments.first + (segments.list.len() * LOG_SEGMENT) as u64;
        let (mut low, mut high) = (segments.first, end.min(last));
        while low < high {
            let middle = low + (high - low) / 2;
            match revision_at(middle) {
                Some(at) if at <= revision => low = middle + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// The entry that made `revision`, if it is still kept.
    pub fn find(&self, revision: Revision) -> Option<Arc<Change>> {
        let before = Revision(revision.0.checked_sub(1)?);
        let position = self.position_after(before).ok()?;
        let mut found = None;
        self.read(position, 1, |change| found = Some(change.clone())).ok()?;
        found.filter(|change| change.revision == revision)
    }

    /// Whether revisions ascend; for the invariant checker.
    pub fn check(&self) -> Result<(), String> {
        let mut last = self.forgotten();
        let first = self.segments.load().first;
        let mut wrong = None;
        let _ = self.read(first, usize::MAX >> 1, |change| {
            if change.revision <= last && wrong.is_none() {
                wrong = Some(format!("revision {} follows {}", change.revision.0, last.0));
            }
            last = change.revision;
        });
        wrong.map_or(Ok(()), Err)
    }
}
