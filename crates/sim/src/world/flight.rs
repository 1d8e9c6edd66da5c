//! A request under way: handed to engines, heard of through their journals, ended and counted.

use super::{Flight, Incident, ServerKind, World};
use crate::engine::Request;
use crate::gateway::ErrorCode;
use crate::journal::Happening;
use crate::tgi::{self, Counters, Failure};
use crate::truth::{FinishReason, float};
use crate::twin::CHAT;

/// Bytes of a token's keys and values, of a model of eight billion parameters.
const KV_BYTES_PER_TOKEN: f64 = 131_072.0;
/// Bytes per second from one engine to another.
const TRANSFER_BYTES_PER_SECOND: f64 = 2.5e10;
/// Seconds of any transfer.
const TRANSFER_SECONDS: f64 = 0.004;

impl World {
    /// Sends a request to a server; where `prefill` is another one, its prompt goes there first.
    pub(super) fn send(
        &mut self,
        user: usize,
        index: usize,
        mut request: Request,
        bad: bool,
        prefill: Option<usize>,
        pooled: bool,
    ) {
        let server = &self.servers[index];
        if let ServerKind::Tgi(launch) = &server.config.kind {
            Counters::shape(&mut request, launch, server.config.engine.max_model_len);
            if request.handler != CHAT {
                request.handler = tgi::api::GENERATE;
            }
        }
        if let Some(lora) = &server.config.engine.lora
            && self.users.chance(lora.share)
        {
            let adapters = u32::try_from(lora.adapters.len()).unwrap_or(u32::MAX);
            request.adapter = Some(self.users.below(adapters) as usize);
        }
        let id = request.id;
        let mut flight = Flight {
            user,
            arrival: request.arrival,
            server: index,
            pooled,
            streamed: request.streamed,
            prompt: request.prompt,
            cached: 0,
            first: None,
            last: self.now,
            generated: 0,
            decode: None,
        };
        // The engine's clocks begin where the request reaches it.
        request.hang_up.at += self.now - request.arrival;
        request.arrival = self.now;
        let mut to = index;
        if let Some(prefill) = prefill {
            let mut prompt = request.clone();
            prompt.hang_up.after_tokens = None;
            for answer in &mut prompt.sequences {
                (answer.tokens, answer.max_tokens) = (1, 1);
                answer.reason = FinishReason::Length;
            }
            flight.decode = Some((index, request));
            flight.server = prefill;
            request = prompt;
            to = prefill;
        }
        self.flights.insert(id, flight);
        self.submit(to, request, bad);
    }

    /// Hands a request that has a flight to a server's engine.
    fn submit(&mut self, index: usize, request: Request, bad: bool) {
        let id = request.id;
        let server = &mut self.servers[index];
        server.twin.advance_to(self.now);
        let mut code = None;
        if bad {
            server.twin.refuse_bad(&request);
            code = Some(ErrorCode::BadRequest);
        }
        if let (Some(counters), ServerKind::Tgi(launch)) = (&mut server.tgi, &server.config.kind) {
            let full = server.twin.load() >= launch.max_concurrent_requests as usize;
            let failure = if full {
                Some(Failure::Overloaded)
            } else {
                bad.then_some(Failure::Validation)
            };
            counters.arrive(&request, failure);
            if full {
                code = Some(ErrorCode::ServiceUnavailable);
            }
        }
        if code.is_none() && !server.twin.submit(request) {
            code = Some(ErrorCode::ServiceUnavailable);
        }
        match code {
            Some(code) => self.lose(id, code),
            None => self.read_journal(index),
        }
    }

    /// Hears what happened on a server.
    pub(super) fn read_journal(&mut self, index: usize) {
        let mut journal = std::mem::take(&mut self.journal);
        let server = &mut self.servers[index];
        server.twin.take_journal(&mut journal);
        for happening in journal.drain(..) {
            if let Some(counters) = &mut self.servers[index].tgi {
                counters.note(&happening);
            }
            match happening {
                Happening::Token { request, at, .. } => self.token(request, at),
                Happening::Ended(ended) => {
                    if let Some(flight) = self.flights.get_mut(&ended.request)
                        && flight.decode.is_none()
                    {
                        flight.cached = flight.cached.max(ended.cached);
                        flight.generated += u64::from(ended.generated);
                    }
                }
                Happening::Done {
                    request,
                    at,
                    failed,
                } => self.done(request, at, failed),
                Happening::HungUp { request, .. } => self.hung_up(request),
                Happening::Step(_) => {}
            }
        }
        self.journal = journal;
    }

    fn token(&mut self, id: u64, at: f64) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        if flight.decode.is_some() {
            // The prefill server's token is not the user's.
            return;
        }
        let gap = flight.first.map(|_| at - flight.last);
        let first = *flight.first.get_or_insert(at) - flight.arrival;
        flight.last = at;
        if flight.pooled
            && flight.streamed
            && let Some(gateway) = &mut self.gateway
        {
            let requests = gateway.of(flight.user);
            match gap {
                Some(gap) => requests.between_tokens.record(gap),
                None => requests.first_token.record(first),
            }
        }
    }

    fn done(&mut self, id: u64, at: f64, failed: bool) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        if let Some((index, mut request)) = flight.decode.take() {
            if self.servers[index].down {
                return self.lose(id, ErrorCode::ServiceUnavailable);
            }
            let bytes = f64::from(request.prompt) * KV_BYTES_PER_TOKEN;
            self.servers[flight.server].transferred.0 += bytes;
            self.servers[index].transferred.1 += bytes;
            flight.server = index;
            request.arrival = at;
            request.received = Some(at + TRANSFER_SECONDS + bytes / TRANSFER_BYTES_PER_SECOND);
            return self.submit(index, request, false);
        }
        if failed {
            return self.lose(id, ErrorCode::ModelServerError);
        }
        let Some(flight) = self.land(id) else {
            return;
        };
        let tenant = &mut self.tenants[flight.user];
        tenant.completed += 1;
        tenant.prompt_tokens += u64::from(flight.prompt);
        tenant.completion_tokens += flight.generated;
        if let Some(limitador) = &mut self.limitador
            && !self.incidents.contains(&Incident::LimitadorDown)
        {
            let tokens = u64::from(flight.prompt) + flight.generated;
            limitador.report(flight.user, &self.config.tenants, tokens, at);
        }
        if flight.pooled
            && let Some(gateway) = &mut self.gateway
        {
            let requests = gateway.of(flight.user);
            let seconds = at - flight.arrival;
            let tokens = float(flight.generated);
            requests.duration.record(seconds);
            requests.normalized.record(seconds / tokens.max(1.0));
            requests.input.record(f64::from(flight.prompt));
            requests.output.record(tokens);
            requests.cached.record(f64::from(flight.cached));
            requests.response_bytes.record(420.0 + 5.0 * tokens);
            if !flight.streamed {
                requests.whole_answer.record(seconds);
            } else if flight.generated > 1
                && let Some(first) = flight.first
            {
                requests
                    .per_token
                    .record((flight.last - first) / (tokens - 1.0));
            }
        }
    }

    fn hung_up(&mut self, id: u64) {
        if let Some(flight) = self.land(id) {
            self.tenants[flight.user].hung_up += 1;
        }
    }

    /// Ends a request that failed.
    pub(super) fn lose(&mut self, id: u64, code: ErrorCode) {
        let Some(flight) = self.land(id) else {
            return;
        };
        self.tenants[flight.user].failed += 1;
        if flight.pooled
            && let Some(gateway) = &mut self.gateway
        {
            gateway.fail(flight.user, code);
        }
    }

    /// Takes a request out of the list of those under way.
    fn land(&mut self, id: u64) -> Option<Flight> {
        let flight = self.flights.remove(&id)?;
        if flight.pooled
            && let Some(gateway) = &mut self.gateway
        {
            gateway.of(flight.user).running -= 1;
            // While its prompt is computed elsewhere, it counts for the server that will decode.
            let server = flight.decode.as_ref().map_or(flight.server, |(s, _)| *s);
            if let Some(n) = gateway.under_way.get_mut(&(server, flight.user)) {
                *n = n.saturating_sub(1);
            }
        }
        Some(flight)
    }
}
