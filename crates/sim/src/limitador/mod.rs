//! Limitador 2.4 with memory storage, as Kuadrant drives it: what each tenant may ask for, what it
//! did, and how much of its windows is used.
//!
//! A request passes the namespaces in their order. One that counts requests counts it at once (a
//! call and a hit); one that counts tokens only looks whether any are left (a call), and hears of the
//! tokens when the answer is complete (hits). So the last answer overshoots a quota of tokens, and
//! what remains wraps below zero.

mod admin;
pub(crate) mod api;
mod page;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::world::Tenant;

pub(crate) use page::page;

/// The limits that Limitador enforces.
#[derive(Clone, Debug, PartialEq)]
pub struct Limitador {
    /// The namespaces that every request passes, in their order.
    pub namespaces: Vec<Namespace>,
}

/// A namespace: in Kuadrant, that of a policy's route, as `llm/chat`.
#[derive(Clone, Debug, PartialEq)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// What its limits count, and so what its hits are.
    pub counts: Counts,
    /// Its limits.
    pub limits: Vec<Limit>,
}

/// What the limits of a namespace count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// Requests, when they come (`RateLimitPolicy`).
    Requests,
    /// Tokens of prompt and answer together, when they are known (`TokenRateLimitPolicy`).
    Tokens,
}

/// A limit of each user.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// Its name.
    pub name: String,
    /// Most requests or tokens in a window.
    pub max: u64,
    /// Seconds of a window, which begins with a user's first hit in it.
    pub seconds: u64,
    /// The group whose users it is for; `None` for all.
    pub group: Option<String>,
}

/// What Limitador has counted. Users are indices into [`World::tenants`](crate::World::tenants).
#[derive(Clone, Debug, PartialEq)]
pub struct LimitadorTruth {
    /// The limits.
    pub config: Limitador,
    /// Calls that were let through, by namespace and user.
    pub authorized_calls: BTreeMap<(usize, usize), u64>,
    /// Requests or tokens counted, by namespace and user.
    pub authorized_hits: BTreeMap<(usize, usize), u64>,
    /// Calls that were not, by namespace, user and limit.
    pub limited_calls: BTreeMap<(usize, usize, usize), u64>,
    /// Windows by namespace, limit and user, those over included until their user's next hit.
    windows: BTreeMap<(usize, usize, usize), Window>,
}

/// A user's window of a limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Requests or tokens in it, also beyond the limit.
    pub used: u64,
    /// Virtual time at which it ends.
    pub ends: f64,
}

impl LimitadorTruth {
    pub(crate) fn new(config: Limitador) -> Self {
        Self {
            config,
            authorized_calls: BTreeMap::new(),
            authorized_hits: BTreeMap::new(),
            limited_calls: BTreeMap::new(),
            windows: BTreeMap::new(),
        }
    }

    /// The windows that are open at `now`, by namespace, limit and user.
    pub fn windows(&self, now: f64) -> impl Iterator<Item = ((usize, usize, usize), Window)> {
        let open = move |window: &Window| window.ends > now;
        self.windows
            .iter()
            .filter(move |(_, window)| open(window))
            .map(|(&key, &window)| (key, window))
    }

    /// Whether a request of `user` may pass, and counts it either way.
    pub(crate) fn check(&mut self, user: usize, tenants: &[Tenant], now: f64) -> bool {
        for namespace in 0..self.config.namespaces.len() {
            let limits = self.limits(namespace, &tenants[user]);
            let exceeded = limits.iter().copied().find(|&limit| {
                let max = self.config.namespaces[namespace].limits[limit].max;
                self.used((namespace, limit, user), now) >= max
            });
            if let Some(limit) = exceeded {
                *self
                    .limited_calls
                    .entry((namespace, user, limit))
                    .or_insert(0) += 1;
                return false;
            }
            *self.authorized_calls.entry((namespace, user)).or_insert(0) += 1;
            if self.config.namespaces[namespace].counts == Counts::Requests {
                self.hit(namespace, user, 1, &limits, now);
            }
        }
        true
    }

    /// Hears of the tokens of a complete answer. One of none counts as one.
    pub(crate) fn report(&mut self, user: usize, tenants: &[Tenant], tokens: u64, now: f64) {
        for namespace in 0..self.config.namespaces.len() {
            if self.config.namespaces[namespace].counts == Counts::Tokens {
                let limits = self.limits(namespace, &tenants[user]);
                self.hit(namespace, user, tokens.max(1), &limits, now);
            }
        }
    }

    /// The limits of a namespace that a user is under.
    fn limits(&self, namespace: usize, tenant: &Tenant) -> Vec<usize> {
        let limits = self.config.namespaces[namespace].limits.iter().enumerate();
        limits
            .filter(|(_, limit)| limit.group.as_ref().is_none_or(|g| *g == tenant.group))
            .map(|(index, _)| index)
            .collect()
    }

    fn used(&self, key: (usize, usize, usize), now: f64) -> u64 {
        let window = self.windows.get(&key).filter(|window| window.ends > now);
        window.map_or(0, |window| window.used)
    }

    fn hit(&mut self, namespace: usize, user: usize, hits: u64, limits: &[usize], now: f64) {
        *self.authorized_hits.entry((namespace, user)).or_insert(0) += hits;
        for &limit in limits {
            let seconds = self.config.namespaces[namespace].limits[limit].seconds;
            let fresh = Window {
                used: 0,
                ends: now + crate::truth::float(seconds),
            };
            let window = self
                .windows
                .entry((namespace, limit, user))
                .or_insert(fresh);
            if window.ends <= now {
                *window = fresh;
            }
            window.used += hits;
        }
    }
}
