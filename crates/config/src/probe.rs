//! Probes as a configuration allows them.

use std::sync::Arc;

use tokenpath_core::LabelSet;
use tokenpath_scrape::server::{Module, ProbeOptions};

use crate::config::Config;
use crate::discovery::Target;
use crate::fleet::Make;

impl Config {
    /// What may be probed, with sources as `make` makes them; `None` where nothing may be.
    #[must_use]
    pub fn probes(&self, make: &Arc<Make>) -> Option<ProbeOptions> {
        let probe = self.probe.as_ref()?;
        let modules = probe.modules.iter().map(|said| {
            let (kind, reading) = (Arc::clone(&said.kind), Arc::clone(&said.reading));
            let make = Arc::clone(make);
            let timeout = reading.timeout;
            Module::new(&said.name, timeout, move |endpoint| {
                let text = endpoint.to_string();
                let nothing = LabelSet::default();
                let known = Some(Arc::clone(&kind));
                let options = reading.source(&kind, &nothing);
                let target = Target::new(known, endpoint, &text, nothing, Arc::clone(&reading));
                Ok((make(&target, &kind)?, options))
            })
        });
        Some(ProbeOptions {
            allow: probe.allow.clone(),
            modules: modules.collect(),
        })
    }
}
