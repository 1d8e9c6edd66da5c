//! The paged KV cache of one engine: a pool of blocks and a prefix cache over it.
//!
//! A shared prefix is a chain of blocks, cached from its head on. A chain that sequences use is held;
//! one that nobody uses stays cached in blocks that count as free, and is evicted tail first, the
//! longest unused chain first, when new blocks are wanted.

/// The pool.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    total: u32,
    /// Blocks that belong to one sequence alone.
    private: u32,
    chains: Vec<Chain>,
}

#[derive(Clone, Debug, Default)]
struct Chain {
    /// Blocks cached, counted from the head.
    blocks: u32,
    /// Sequences that use it.
    users: u32,
    last_used: f64,
}

/// The blocks that one sequence holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holding {
    /// The chain of the sequence's prefix, and how many of its blocks the sequence reads or wrote.
    chain: Option<(usize, u32)>,
    private: u32,
}

impl Holding {
    /// Blocks held, shared or not.
    pub(crate) fn blocks(&self) -> u32 {
        self.private + self.chain.map_or(0, |(_, blocks)| blocks)
    }
}

impl Pool {
    pub(crate) fn new(total: u32, chains: u32) -> Self {
        Self {
            total,
            private: 0,
            chains: (0..chains).map(|_| Chain::default()).collect(),
        }
    }

    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    /// Changes the number of blocks. What is held beyond the new number stays held: the caller has
    /// to release it. Cached chains that nobody uses give way.
    pub(crate) fn resize(&mut self, total: u32) {
        self.total = total;
        self.evict(0);
    }

    /// Blocks that sequences hold.
    pub(crate) fn held(&self) -> u32 {
        self.private
            + self
                .chains
                .iter()
                .filter(|c| c.users > 0)
                .map(|c| c.blocks)
                .sum::<u32>()
    }

    /// Blocks of `chain` that are cached, at most `wanted`.
    pub(crate) fn cached(&self, chain: usize, wanted: u32) -> u32 {
        self.chains[chain].blocks.min(wanted)
    }

    /// Starts a holding on the first `blocks` cached blocks of `chain`.
    pub(crate) fn join(&mut self, chain: usize, blocks: u32, now: f64) -> Holding {
        let c = &mut self.chains[chain];
        debug_assert!(blocks <= c.blocks);
        c.users += 1;
        c.last_used = now;
        Holding {
            chain: Some((chain, blocks)),
            private: 0,
        }
    }

    /// Grows `holding` to `blocks` blocks, of which the first `shareable` belong to its chain; the
    /// missing ones of these become part of the chain. False, and nothing changed, where there are
    /// not enough free blocks.
    pub(crate) fn grow(&mut self, holding: &mut Holding, blocks: u32, shareable: u32) -> bool {
        let missing = blocks.saturating_sub(holding.blocks());
        if missing == 0 {
            return true;
        }
        if self.held() + missing > self.total {
            return false;
        }
        self.evict(missing);
        for _ in 0..missing {
            if let Some((chain, used)) = &mut holding.chain
                && holding.private == 0
                && *used < shareable
                && self.chains[*chain].blocks == *used
            {
                self.chains[*chain].blocks += 1;
                *used += 1;
            } else {
                // Past the shared part, or another sequence computed the same block at the same time.
                self.private += 1;
                holding.private += 1;
            }
        }
        true
    }

    /// Gives a holding back; the chain stays cached.
    pub(crate) fn release(&mut self, holding: Holding, now: f64) {
        self.private -= holding.private;
        if let Some((chain, _)) = holding.chain {
            let c = &mut self.chains[chain];
            c.users -= 1;
            c.last_used = now;
        }
    }

    /// Evicts unused chains until `wanted` blocks are empty.
    fn evict(&mut self, wanted: u32) {
        loop {
            let occupied = self.private + self.chains.iter().map(|c| c.blocks).sum::<u32>();
            let over = (occupied + wanted).saturating_sub(self.total);
            let oldest = self
                .chains
                .iter_mut()
                .filter(|c| c.users == 0 && c.blocks > 0)
                .min_by(|a, b| a.last_used.total_cmp(&b.last_used));
            match oldest {
                Some(chain) if over > 0 => chain.blocks -= over.min(chain.blocks),
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_computed_once_and_evicted_last() {
        let mut pool = Pool::new(10, 2);
        let mut first = pool.join(0, 0, 0.0);
        assert!(pool.grow(&mut first, 6, 4));
        assert_eq!((pool.held(), pool.cached(0, 9)), (6, 4));

        // The second reads the four and needs two of its own.
        let mut second = pool.join(0, pool.cached(0, 4), 1.0);
        assert!(pool.grow(&mut second, 6, 4));
        assert_eq!(pool.held(), 8);
        // Two are left.
        let mut third = pool.join(1, 0, 1.0);
        assert!(!pool.grow(&mut third, 3, 0));
        assert_eq!(third.blocks(), 0);

        pool.release(first, 2.0);
        pool.release(second, 3.0);
        assert_eq!((pool.held(), pool.cached(0, 9)), (0, 4));
        // Seven of ten: the chain loses a block, from its tail.
        assert!(pool.grow(&mut third, 7, 0));
        assert_eq!((pool.held(), pool.cached(0, 9)), (7, 3));
        pool.release(third, 4.0);
        assert_eq!(pool.held(), 0);
    }

    #[test]
    fn two_that_compute_the_same_prefix_at_once_hold_it_twice() {
        let mut pool = Pool::new(10, 1);
        let mut first = pool.join(0, 0, 0.0);
        let mut second = pool.join(0, 0, 0.0);
        assert!(pool.grow(&mut first, 3, 3));
        assert!(pool.grow(&mut second, 3, 3));
        assert_eq!(pool.held(), 6);
        assert_eq!(pool.cached(0, 9), 3);
    }

    #[test]
    fn a_smaller_pool_drops_what_nobody_uses() {
        let mut pool = Pool::new(10, 1);
        let mut holding = pool.join(0, 0, 0.0);
        assert!(pool.grow(&mut holding, 8, 8));
        pool.release(holding, 1.0);
        pool.resize(5);
        assert_eq!((pool.held(), pool.cached(0, 9), pool.total()), (0, 5, 5));
    }
}
