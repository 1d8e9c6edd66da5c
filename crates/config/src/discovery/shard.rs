//! Which share of the targets is ours.

use std::fmt;

/// Share `index` of `of`: each target is in exactly one share, the same on every machine and in every
/// release.
///
/// A target's share is the jump consistent hash (Lamping and Veach, 2014) of its endpoint's text: the
/// FNV-1a hash of 64 bits of its bytes, mixed twice by the finalizer of SplitMix64. Going from N shares to
/// N + 1 moves one target in N + 1, and only to the new share.
///
/// ```
/// use tokenpath_config::discovery::Shard;
///
/// let shards: Vec<_> = (0..4).map(|index| Shard::new(index, 4).unwrap()).collect();
/// let owners = shards.iter().filter(|shard| shard.owns("http://10.0.0.7:8000/metrics"));
/// assert_eq!(owners.count(), 1);
/// assert!(Shard::new(4, 4).is_none());
/// assert_eq!(Shard::parse("1/4"), Shard::new(1, 4));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    of: u32,
}

impl Shard {
    /// Share `index`, from 0 to `of` less one; `None` for any other.
    #[must_use]
    pub const fn new(index: u32, of: u32) -> Option<Self> {
        if index < of {
            Some(Self { index, of })
        } else {
            None
        }
    }

    /// `K/N`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (index, of) = crate::leaf::shard(text).ok()?;
        Self::new(index, of)
    }

    /// Whether the target with this endpoint is in it.
    #[must_use]
    pub fn owns(&self, endpoint: &str) -> bool {
        jump(hash(endpoint), self.of) == self.index
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

/// FNV-1a, then twice the finalizer of SplitMix64. Written down here because it must never change.
pub(crate) fn hash(text: &str) -> u64 {
    let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(mix(fnv))
}

const fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

fn jump(mut key: u64, buckets: u32) -> u32 {
    let mut bucket: u64 = 0;
    let mut next: u64 = 0;
    while next < u64::from(buckets) {
        bucket = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        // The published form divides doubles; this is the same in whole numbers, so that no
        // machine rounds otherwise: (bucket + 1) * 2^31 / ((key >> 33) + 1).
        next = ((bucket + 1) << 31) / ((key >> 33) + 1);
    }
    u32::try_from(bucket).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints() -> impl Iterator<Item = String> {
        (0..10_000).map(|n| format!("http://10.0.{}.{}:8000/metrics", n / 250, n % 250))
    }

    #[test]
    fn shares_are_even_and_each_target_is_in_one() {
        for of in [1, 2, 3, 4, 7, 16] {
            let mut sizes = vec![0_u32; of as usize];
            for endpoint in endpoints() {
                let owners: Vec<_> = (0..of)
                    .filter(|index| Shard::new(*index, of).unwrap().owns(&endpoint))
                    .collect();
                assert_eq!(owners.len(), 1);
                sizes[owners[0] as usize] += 1;
            }
            let even = 10_000 / of;
            for size in sizes {
                assert!(size.abs_diff(even) < even / 5 + 1, "{size} of {even}");
            }
        }
    }

    #[test]
    fn one_more_share_moves_targets_only_into_it() {
        for endpoint in endpoints() {
            let (before, after) = (jump(hash(&endpoint), 4), jump(hash(&endpoint), 5));
            assert!(after == before || after == 4);
        }
    }

    #[test]
    fn the_hash_is_the_same_for_ever() {
        let owners: Vec<u32> = ["a:8000", "b:8000", "http://10.0.0.7:8000/metrics"]
            .iter()
            .map(|endpoint| jump(hash(endpoint), 8))
            .collect();
        assert_eq!(owners, [5, 2, 1]);
    }
}
