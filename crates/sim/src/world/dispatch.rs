//! The way of a request to an engine: who sends it, whether the quotas let it pass, and which server
//! the gateway chooses.

use super::{Held, Incident, Role, Tenant, World};
use crate::engine::Request;
use crate::gateway::{Decision, Endpoint, ErrorCode, Outcome};
use crate::traffic::{self, Draw};
use crate::truth::{EngineTruth, float};
use crate::twin::{CHAT, COMPLETIONS};

impl World {
    pub(super) fn draw_arrival(&mut self) {
        let mut rate = self.config.traffic.arrivals_per_second;
        let whole: f64 = self.config.tenants.iter().map(|tenant| tenant.share).sum();
        let shares: f64 = self.shares().iter().sum();
        // A storm or a flood comes on top of what is sent otherwise.
        rate *= shares / whole;
        let traffic = &self.config.traffic;
        self.next_arrival = traffic::next_arrival(traffic, rate, self.now, &mut self.gaps);
    }

    /// The users' shares, larger than configured in a storm or a flood.
    fn shares(&self) -> Vec<f64> {
        let tenants = &self.config.tenants;
        let mut shares: Vec<f64> = tenants.iter().map(|t| t.share).collect();
        let (storm, flood) = (
            self.has(Incident::QueueStorm),
            self.has(Incident::TenantFlood),
        );
        if !storm && !flood {
            return shares;
        }
        let quotas: Vec<u64> = tenants.iter().map(|tenant| self.quota(tenant)).collect();
        let least = quotas.iter().min().copied().unwrap_or(u64::MAX);
        let most = quotas.iter().max().copied().unwrap_or(u64::MAX);
        if storm {
            // Those whom the lowest quota would soon stop have no part in a storm.
            let takes_part = |quota: u64| quota > least || least == most;
            for (share, quota) in shares.iter_mut().zip(&quotas) {
                *share *= if takes_part(*quota) { 12.0 } else { 1.0 };
            }
        }
        if flood && let Some(index) = quotas.iter().position(|&quota| quota == least) {
            shares[index] *= 40.0;
        }
        shares
    }

    /// The lowest limit that is for a user's group alone.
    fn quota(&self, tenant: &Tenant) -> u64 {
        let namespaces = self.config.limitador.iter().flat_map(|l| &l.namespaces);
        namespaces
            .flat_map(|namespace| &namespace.limits)
            .filter(|limit| limit.group.as_ref() == Some(&tenant.group))
            .map(|limit| limit.max)
            .min()
            .unwrap_or(u64::MAX)
    }

    fn draw_user(&mut self) -> usize {
        let shares = self.shares();
        let mut at = self.users.unit() * shares.iter().sum::<f64>();
        for (index, share) in shares.iter().enumerate() {
            if at < *share {
                return index;
            }
            at -= share;
        }
        shares.len() - 1
    }

    pub(super) fn arrive(&mut self) {
        self.draw_arrival();
        let lens = self.config.servers.iter().map(|s| s.engine.max_model_len);
        let draw = Draw {
            traffic: &self.config.traffic,
            max_model_len: lens.min().unwrap_or(2),
            lora: None,
            handlers: (CHAT, COMPLETIONS),
        };
        let mut request = draw.request(self.next_id, self.now, &mut self.shapes);
        self.next_id += 1;
        if self.has(Incident::CacheThrash) {
            request.prefix = None;
        }
        let bad = self.shapes.chance(self.config.traffic.bad_request_share);
        let direct = self.shapes.chance(self.config.direct_share);
        let user = self.draw_user();
        self.tenants[user].requests += 1;
        let limitador = self.limitador.as_mut();
        let passes = self.incidents.contains(&Incident::LimitadorDown)
            || limitador.is_none_or(|l| l.check(user, &self.config.tenants, self.now));
        if !passes {
            self.tenants[user].limited += 1;
            return;
        }
        let has = |direct: bool| {
            let mut servers = self.config.servers.iter();
            servers.any(|server| (server.role == Role::Direct) == direct)
        };
        if (direct && has(true)) || !has(false) {
            self.go_direct(user, request, bad);
        } else if self.gateway.is_some() {
            self.go_through_gateway(user, request, bad);
        } else {
            let index = self.least_loaded(|role| matches!(role, Role::Whole | Role::Decode));
            match index {
                Some(index) => self.send(user, index, request, bad, None, false),
                None => self.tenants[user].failed += 1,
            }
        }
    }

    /// The server of such a role with the fewest requests, of those that answer.
    fn least_loaded(&self, role: impl Fn(Role) -> bool) -> Option<usize> {
        let servers = self.servers.iter().enumerate();
        servers
            .filter(|(_, server)| !server.down && role(server.config.role))
            .min_by_key(|(_, server)| server.twin.load())
            .map(|(index, _)| index)
    }

    fn go_direct(&mut self, user: usize, request: Request, bad: bool) {
        match self.least_loaded(|role| role == Role::Direct) {
            Some(index) => self.send(user, index, request, bad, None, false),
            None => self.tenants[user].failed += 1,
        }
    }

    fn go_through_gateway(&mut self, user: usize, request: Request, bad: bool) {
        self.look_at_endpoints();
        let waiting = self.held.len();
        let Some(gateway) = &mut self.gateway else {
            return;
        };
        let held = Held { user, request, bad };
        if !gateway.config.flow_control {
            return self.dispatch(held);
        }
        if waiting == 0 && gateway.saturation() < 1.0 {
            gateway.flow(user, Outcome::Dispatched, 0.0);
            return self.dispatch(held);
        }
        if waiting >= gateway.config.queue_limit as usize {
            gateway.flow(user, Outcome::RejectedCapacity, 0.0);
            gateway.fail(user, ErrorCode::ResourceExhausted);
            self.tenants[user].failed += 1;
            return;
        }
        gateway.enqueue(user, request_bytes(&held.request));
        self.held.push_back(held);
    }

    /// Sends what waits in the gateway while the pool has room, and gives up what waited too long.
    pub(super) fn release_held(&mut self) {
        while let Some(held) = self.held.front() {
            let waited = self.now - held.request.arrival;
            self.look_at_endpoints();
            let Some(gateway) = &mut self.gateway else {
                return;
            };
            let too_long = waited >= f64::from(gateway.config.queue_seconds);
            if !too_long && gateway.saturation() >= 1.0 {
                return;
            }
            let Some(held) = self.held.pop_front() else {
                return;
            };
            gateway.dequeue(held.user, request_bytes(&held.request));
            if too_long {
                gateway.flow(held.user, Outcome::EvictedTtl, waited);
                gateway.fail(held.user, ErrorCode::ServiceUnavailable);
                self.tenants[held.user].failed += 1;
            } else {
                gateway.flow(held.user, Outcome::Dispatched, waited);
                self.dispatch(held);
            }
        }
    }

    /// Chooses an engine, and sends the request there.
    fn dispatch(&mut self, held: Held) {
        let Held { user, request, bad } = held;
        self.look_at_endpoints();
        let of_role = |wanted: fn(Role) -> bool| -> Vec<usize> {
            let servers = self.servers.iter().enumerate();
            let servers = servers.filter(|(_, s)| !s.down && wanted(s.config.role));
            servers.map(|(index, _)| index).collect()
        };
        let candidates = of_role(|role| matches!(role, Role::Whole | Role::Decode));
        let split = self.config.servers.iter().any(|s| s.role == Role::Prefill);
        let prefill = self.least_loaded(|role| role == Role::Prefill);
        let Some(gateway) = &mut self.gateway else {
            return;
        };
        let chosen = gateway.choose(&candidates, request.prompt, request.prefix);
        let Some((index, hit)) = chosen else {
            gateway.fail(user, ErrorCode::ServiceUnavailable);
            self.tenants[user].failed += 1;
            return;
        };
        let worth = request.prompt - hit >= gateway.config.disaggregation_tokens;
        let decodes = self.servers[index].config.role == Role::Decode;
        let prefill = prefill.filter(|_| decodes && worth && !bad && request.sequences.len() == 1);
        if split && decodes {
            let decision = match prefill {
                Some(_) => Decision::PrefillDecode,
                None => Decision::DecodeOnly,
            };
            *gateway.decisions.entry(decision).or_insert(0) += 1;
        }
        let requests = gateway.of(user);
        requests.requests += 1;
        requests.running += 1;
        requests
            .request_bytes
            .record(float(request_bytes(&request)));
        *gateway.under_way.entry((index, user)).or_insert(0) += 1;
        self.send(user, index, request, bad, prefill, true);
    }

    pub(super) fn look_at_endpoints(&mut self) {
        let Some(gateway) = &mut self.gateway else {
            return;
        };
        let pool = self.servers.iter().enumerate();
        let mut pool = pool.filter(|(_, server)| server.config.role != Role::Direct);
        if gateway.endpoints.is_empty() {
            gateway.endpoints = pool
                .by_ref()
                .map(|(server, s)| Endpoint {
                    name: s.config.name.clone(),
                    server,
                    ready: true,
                    waiting: 0,
                    running: 0,
                    kv_usage: 0.0,
                })
                .collect();
        }
        for endpoint in &mut gateway.endpoints {
            let server = &self.servers[endpoint.server];
            let engines = &server.twin.truth().engines;
            endpoint.ready = !server.down;
            endpoint.waiting = engines.iter().map(|e| e.waiting).sum();
            endpoint.running = engines.iter().map(|e| e.running).sum();
            let usage: f64 = engines.iter().map(EngineTruth::kv_usage).sum();
            endpoint.kv_usage = usage / float(engines.len().max(1) as u64);
        }
    }
}

fn request_bytes(request: &Request) -> u64 {
    crate::twin::request_bytes(request.prompt)
}
