//! End to end: the shipped programs as processes, read by the programs that people use.

mod bomb;
mod demo;
mod faults;
mod formats;
mod gateway;
mod gpu;
mod lint;
mod manners;
mod page;
pub(crate) mod prometheus;
mod python;
mod queries;
mod relay;
mod serve;
mod targets;
mod translate;

use std::path::Path;

use crate::report::Report;
use crate::tests::Binaries;

pub(crate) fn run(corpus: Option<&Path>, binaries: &Binaries, report: &mut Report) {
    demo::run(binaries, report);
    queries::run(binaries, report);
    translate::run(corpus, binaries, report);
    faults::run(binaries, report);
    gateway::run(binaries, report);
    gpu::run(binaries, report);
    manners::run(binaries, report);
    formats::run(binaries, report);
    serve::run(binaries, report);
    lint::run(binaries, report);
}
