//! What the outside world gives to the cluster: time and chance.
//!
//! Owns the traits [`Clock`] and [`Entropy`] and their real implementations. Nobody else in the crate reads
//! a clock or draws a random number, so that a simulated cluster replays from its seed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

/// A point on the monotonic clock: the time since the [`Clock`] was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub Duration);

impl Moment {
    /// The moment `later` after this one.
    pub fn after(self, later: Duration) -> Moment {
        Moment(self.0.saturating_add(later))
    }

    /// The time from `earlier` until this moment; zero if it lies ahead.
    pub fn since(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Tells the time. The wall clock stamps objects, the monotonic clock runs timers.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// The monotonic clock, which never goes back.
    fn moment(&self) -> Moment;
}

/// Gives random bits: uids, name suffixes, tokens, jitter.
pub trait Entropy: Send + Sync + 'static {
    /// The next 64 random bits.
    fn next(&self) -> u64;
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    /// A clock whose monotonic side starts now.
    #[allow(clippy::disallowed_methods, reason = "the one home of the machine's clocks")]
    pub fn new() -> SystemClock {
        SystemClock { start: std::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one home of the machine's clocks")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn moment(&self) -> Moment {
        Moment(self.start.elapsed())
    }
}

/// A fast generator (SplitMix64 over an atomic counter), seeded once: from the system or by the caller.
///
/// Not for keys or tokens that an attacker may guess; those come with the identity part.
pub struct SeededEntropy {
    state: std::sync::atomic::AtomicU64,
}

impl SeededEntropy {
    /// A generator that gives the same bits for the same seed.
    pub fn from_seed(seed: u64) -> SeededEntropy {
        SeededEntropy { state: std::sync::atomic::AtomicU64::new(seed) }
    }

    /// A generator seeded by the operating system, through the standard library's hash keys.
    pub fn from_system() -> SeededEntropy {
        use std::hash::{BuildHasher, Hasher};
        let keys = std::collections::hash_map::RandomState::new();
        SeededEntropy::from_seed(keys.build_hasher().finish())
    }
}

impl Entropy for SeededEntropy {
    fn next(&self) -> u64 {
        use std::sync::atomic::Ordering;
        let mut z = self
            .state
            .fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed)
            .wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl fmt::Debug for SeededEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeededEntropy")
    }
}

/// The clock and the entropy of one cluster, handed to every part of it.
#[derive(Clone)]
pub struct World {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives random bits.
    pub entropy: Arc<dyn Entropy>,
}

impl World {
    /// The machine's clocks and a generator seeded by the system.
    pub fn real() -> World {
        World { clock: Arc::new(SystemClock::new()), entropy: Arc::new(SeededEntropy::from_system()) }
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

/// A random version 4 uid, in the usual text form.
pub fn new_uid(entropy: &dyn Entropy) -> String {
    let high = (entropy.next() & 0xFFFF_FFFF_FFFF_0FFF) | 0x4000;
    let low = (entropy.next() & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xFFFF,
        high & 0xFFFF,
        low >> 48,
        low & 0xFFFF_FFFF_FFFF
    )
}

/// A random suffix of `length` characters of the alphabet that Kubernetes uses for generated names: no vowels, nothing that
/// looks like another character.
pub fn name_suffix(entropy: &dyn Entropy, length: usize) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..length).map(|_| ALPHABET[(entropy.next() % 27) as usize] as char).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_have_the_form_of_version_4() {
        let entropy = SeededEntropy::from_seed(7);
        for _ in 0..1000 {
            let uid = new_uid(&entropy);
            assert_eq!(uid.len(), 36);
            assert_eq!(&uid[14..15], "4");
            assert!("89ab".contains(&uid[19..20]));
        }
    }

    #[test]
    fn suffixes_are_drawn_from_the_alphabet() {
        let entropy = SeededEntropy::from_seed(7);
        let suffix = name_suffix(&entropy, 5000);
        assert!(suffix.chars().all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c)));
        assert!("bcdfghjklmnpqrstvwxz2456789".chars().all(|c| suffix.contains(c)));
    }
}
