//! End to end: the shipped programs as processes, read by the programs that people use.

mod bomb;
mod demo;
mod faults;
mod manners;
mod page;
pub(crate) mod prometheus;
mod python;
mod targets;
mod translate;

use crate::report::Report;
use crate::tests::Binaries;

pub(crate) fn run(binaries: &Binaries, report: &mut Report) {
    demo::run(binaries, report);
    translate::run(binaries, report);
    faults::run(binaries, report);
    manners::run(binaries, report);
}
