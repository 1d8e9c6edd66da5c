//! Where to send the next request: the load of engines, read from their pages as fast as possible
//! and without any I/O of Tokenpath's. How the pages come here is the router's own business.
//!
//! ```text
//! cargo run -p tokenpath-examples --bin route
//! ```

use std::error::Error;
use std::path::Path;

use tokenpath_core::exposition::{Format, ParseError};
use tokenpath_core::translate::{TranslateOptions, Translator};
use tokenpath_core::{ShapeId, Slot, Snapshot};

/// One server, read again and again.
struct Server {
    name: &'static str,
    translator: Translator,
    snapshot: Snapshot,
    /// Where the numbers are in snapshots of a shape: found once, used until the shape is another.
    slots: Option<(ShapeId, Vec<EngineSlots>)>,
}

/// One engine of a server. Each data-parallel engine has its own queue and its own cache.
struct EngineSlots {
    engine: String,
    waiting: Slot,
    cache_usage: Slot,
}

/// What a router wants to know.
#[derive(Debug, PartialEq)]
struct Load<'a> {
    server: &'a str,
    engine: &'a str,
    waiting: f64,
    cache_usage: f64,
}

impl Server {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            translator: Translator::new(tokenpath_vllm::compiled(), TranslateOptions::default()),
            snapshot: Snapshot::new(),
            slots: None,
        }
    }

    /// Takes a page in. A page with the series of the one before allocates nothing.
    fn read(&mut self, page: &[u8]) -> Result<(), ParseError> {
        let format = Format::sniff(page, None);
        self.translator
            .translate(page, format, &mut self.snapshot)?;
        let shape = self.snapshot.shape();
        if self.slots.as_ref().is_none_or(|(id, _)| *id != shape.id()) {
            self.slots = Some((shape.id(), find_slots(&self.snapshot)));
        }
        Ok(())
    }

    /// The load of each engine that said both numbers. One that did not is not free, it is unknown.
    fn loads(&self) -> impl Iterator<Item = Load<'_>> {
        let engines = self.slots.iter().flat_map(|(_, engines)| engines);
        engines.filter_map(|slots| {
            Some(Load {
                server: self.name,
                engine: &slots.engine,
                waiting: self.snapshot.get(slots.waiting)?,
                cache_usage: self.snapshot.get(slots.cache_usage)?,
            })
        })
    }
}

fn find_slots(snapshot: &Snapshot) -> Vec<EngineSlots> {
    let shape = snapshot.shape();
    let series = |name: &str| shape.family(name).into_iter().flat_map(|f| f.series());
    series("llm_requests_waiting")
        .filter_map(|waiting| {
            let engine = waiting.label("engine");
            let usage =
                series("llm_kv_cache_usage_ratio").find(|usage| usage.label("engine") == engine)?;
            Some(EngineSlots {
                engine: engine.unwrap_or("-").to_owned(),
                waiting: waiting.slot(),
                cache_usage: usage.slot(),
            })
        })
        .collect()
}

/// The engine with the shortest queue; among equals, the one with most room in its cache.
fn best<'a>(servers: &'a [Server]) -> Option<Load<'a>> {
    servers.iter().flat_map(Server::loads).min_by(|a, b| {
        a.waiting
            .total_cmp(&b.waiting)
            .then(a.cache_usage.total_cmp(&b.cache_usage))
    })
}

/// Recorded pages: a server of 2025 with one engine, one of 2026 with two. They call the same things
/// by other names.
const PAGES: [&str; 2] = ["vllm-0.8.5-t1-load", "vllm-0.32.0-dp2-t1-load"];

fn main() -> Result<(), Box<dyn Error>> {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/vllm");
    let mut servers = Vec::new();
    for name in PAGES {
        let mut server = Server::new(name);
        server.read(&std::fs::read(recorded.join(format!("{name}.txt")))?)?;
        servers.push(server);
    }
    for load in servers.iter().flat_map(Server::loads) {
        println!(
            "{:24} engine {}: {} waiting, cache {:.0} % full",
            load.server,
            load.engine,
            load.waiting,
            100.0 * load.cache_usage
        );
    }
    let best = best(&servers).ok_or("no engine said how busy it is")?;
    println!("next request to {} engine {}", best.server, best.engine);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &'static str, page: &str) -> Server {
        let mut server = Server::new(name);
        server.read(page.as_bytes()).unwrap();
        server
    }

    fn page(waiting: &str, usage: &str) -> String {
        format!(
            "vllm:num_requests_waiting{{engine=\"0\",model_name=\"m\"}} {waiting}\n\
             vllm:kv_cache_usage_perc{{engine=\"0\",model_name=\"m\"}} {usage}\n"
        )
    }

    #[test]
    fn the_shortest_queue_wins_then_the_emptiest_cache() {
        let mut servers = vec![
            server("a", &page("2.0", "0.1")),
            server("b", &page("1.0", "0.9")),
            server("c", &page("1.0", "0.8")),
        ];
        assert_eq!(best(&servers).unwrap().server, "c");
        servers[0].read(page("0.0", "0.1").as_bytes()).unwrap();
        assert_eq!(best(&servers).unwrap().server, "a");
    }

    #[test]
    fn an_engine_that_does_not_say_is_unknown_and_not_free() {
        let silent = "vllm:num_requests_running{engine=\"0\",model_name=\"m\"} 0.0\n";
        let servers = [
            server("silent", silent),
            server("busy", &page("9.0", "0.9")),
        ];
        assert_eq!(best(&servers).unwrap().server, "busy");
        assert!(best(&servers[..1]).is_none());
    }

    #[test]
    fn a_page_that_is_none_leaves_nothing_behind() {
        let mut servers = [server("a", &page("0.0", "0.1"))];
        assert!(servers[0].read(b"<html>").is_err());
        assert!(best(&servers).is_none());
    }
}
