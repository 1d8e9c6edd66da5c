//! Families that no catalogue knows, passed through.

use super::*;
use crate::catalogue::{Catalogue, Families, Row};
use crate::exposition::{Encoder, Part, check};
use crate::rollup::Rollup;
use crate::{Desc, LabelSet, Unit};

fn translator() -> Translator {
    let load = Desc::new("llm_load", MetricType::Gauge, Unit::None, "help");
    let own = Desc::new("house_load", MetricType::Gauge, Unit::None, "help");
    let families = Families::new([Arc::new(load), Arc::new(own)]);
    let catalogue = Catalogue::new("x")
        .prefixes(["x:"])
        .rows([
            Row::new("load", MetricType::Gauge).to("llm_load"),
            Row::new("own", MetricType::Gauge).to("house_load"),
        ])
        .left_out("http_*", "not ours");
    let options = TranslateOptions {
        pass_unknown: true,
        ..TranslateOptions::default()
    };
    Translator::new(
        Arc::new(Compiled::new(catalogue, &families).unwrap()),
        options,
    )
}

/// The lines of our page, each checked for being valid there.
fn through(translator: &mut Translator, page: &str, from: Format, to: Format) -> Vec<String> {
    let mut snapshot = Snapshot::new();
    translator
        .translate(page.as_bytes(), from, &mut snapshot)
        .unwrap();
    let labels = LabelSet::new([("target", "t")]);
    let part = Part {
        snapshot: &snapshot,
        labels: &labels,
    };
    let (mut encoder, mut ours) = (Encoder::new(to), Vec::new());
    encoder.encode(&[part], &mut ours);
    assert_eq!(check(&ours, to), [], "{}", String::from_utf8_lossy(&ours));
    assert!(encoder.refused().is_none(), "{:?}", encoder.refused());
    let ours = String::from_utf8(ours).unwrap();
    ours.lines().map(str::to_owned).collect()
}

const PAGE: &str = "\
# HELP x:load Load.
# TYPE x:load gauge
x:load 1
# HELP x:new_total What is \\\\ new.
# TYPE x:new_total counter
x:new_total{pid=\"7\",target=\"theirs\"} 2
x:new_total{pid=\"8\",target=\"theirs\"} 3
# TYPE other_seconds histogram
other_seconds_bucket{le=\"0.5\"} 1
other_seconds_bucket{le=\"+Inf\"} 2
other_seconds_sum 1.5
other_seconds_count 2
# TYPE rpc summary
rpc{quantile=\"0.5\"} 0.25
rpc_sum 4
rpc_count 5
# TYPE http_requests counter
http_requests 9
untyped{quantile=\"0.5\"} 6
untyped{quantile=\"0.9\"} 7
";

#[test]
fn every_type_goes_out_under_its_own_name() {
    let mut translator = translator();
    let ours = through(&mut translator, PAGE, Format::Text004, Format::Text004);
    assert_eq!(
        ours,
        [
            "# HELP llm_load help",
            "# TYPE llm_load gauge",
            "llm_load{target=\"t\"} 1",
            "# TYPE other_seconds histogram",
            "other_seconds_bucket{target=\"t\",le=\"0.5\"} 1",
            "other_seconds_bucket{target=\"t\",le=\"+Inf\"} 2",
            "other_seconds_sum{target=\"t\"} 1.5",
            "other_seconds_count{target=\"t\"} 2",
            "# TYPE rpc summary",
            "rpc{target=\"t\",quantile=\"0.5\"} 0.25",
            "rpc_sum{target=\"t\"} 4",
            "rpc_count{target=\"t\"} 5",
            // Without a type, a quantile is a label like any other, and its name is taken.
            "# TYPE untyped untyped",
            "untyped{exported_quantile=\"0.5\",target=\"t\"} 6",
            "untyped{exported_quantile=\"0.9\",target=\"t\"} 7",
            "# HELP x:new_total What is \\\\ new.",
            "# TYPE x:new_total counter",
            // Processes are not added up: nobody knows whether they may be.
            "x:new_total{exported_target=\"theirs\",pid=\"7\",target=\"t\"} 2",
            "x:new_total{exported_target=\"theirs\",pid=\"8\",target=\"t\"} 3",
        ]
    );
    through(
        &mut translator,
        PAGE,
        Format::Text004,
        Format::OpenMetrics100,
    );
    let report = translator.report();
    let verdict = |name: &str| {
        let mut families = report.families.iter();
        &families.find(|family| family.name == name).unwrap().verdict
    };
    assert_eq!(verdict("x:new_total"), &Verdict::Passed);
    assert!(matches!(verdict("http_requests"), Verdict::LeftOut(_)));
    assert_eq!(
        report.unmapped().count(),
        4,
        "passed, and unknown all the same"
    );
    let mut snapshot = Snapshot::new();
    let page = PAGE.as_bytes();
    translator
        .translate(page, Format::Text004, &mut snapshot)
        .unwrap();
    assert_eq!(snapshot.tally().unmapped_families, 4);
    assert_eq!(snapshot.tally().dropped(DropReason::Unmapped), 0);
    let rules = snapshot
        .shape()
        .families()
        .map(|family| family.desc().rollup_rule());
    assert_eq!(rules.filter(|rule| *rule != Rollup::None).count(), 0);
}

#[test]
fn the_metadata_of_openmetrics_is_found() {
    let page = "# HELP new What.\n# TYPE new counter\nnew_total 1\nnew_created 5\n# TYPE build info\nbuild_info{v=\"1\"} 1\n# EOF\n";
    let to = Format::OpenMetrics100;
    assert_eq!(
        through(&mut translator(), page, Format::OpenMetrics100, to),
        [
            "# TYPE build info",
            "build_info{target=\"t\",v=\"1\"} 1",
            "# HELP new What.",
            "# TYPE new counter",
            "new_total{target=\"t\"} 1",
            "# EOF",
        ]
    );
}

#[test]
fn names_that_cannot_stand_are_escaped_and_those_that_are_taken_are_refused() {
    let page = "\
{\"a.b\"} 1
{\"a_b\"} 2
{\"größe\",\"k.l\"=\"v\"} 3
llm_load 4
{\"llm.new\"} 5
tokenpath_source_up 6
process_start_time_seconds 7
house_load 8
";
    let mut translator = translator();
    let ours = through(&mut translator, page, Format::Text100, Format::Text004);
    assert_eq!(
        ours,
        [
            "# TYPE a_b untyped",
            "a_b{target=\"t\"} 1",
            "# TYPE gr__e untyped",
            "gr__e{k_l=\"v\",target=\"t\"} 3",
        ]
        .map(str::to_owned)
    );
    let mut snapshot = Snapshot::new();
    let page = page.as_bytes();
    translator
        .translate(page, Format::Text100, &mut snapshot)
        .unwrap();
    assert_eq!(snapshot.tally().dropped(DropReason::NameClash), 6);
    assert_eq!(snapshot.tally().unmapped_families, 8);
}

#[test]
fn a_family_may_change_its_type_and_come_back() {
    let mut translator = translator();
    let mut read = |page: &str| through(&mut translator, page, Format::Text004, Format::Text004);
    assert_eq!(read("# TYPE n gauge\nn 1\n")[0], "# TYPE n gauge");
    assert_eq!(
        read("# TYPE n counter\nn 2\nx:load 3\n"),
        [
            "# HELP llm_load help",
            "# TYPE llm_load gauge",
            "llm_load{target=\"t\"} 3",
            "# TYPE n counter",
            "n{target=\"t\"} 2",
        ]
    );
    assert_eq!(read("x:load 3\n").len(), 3);
    assert_eq!(read("# TYPE n counter\nn 4\n")[1], "n{target=\"t\"} 4");
}

#[test]
fn it_goes_out_whatever_dialects_are_spoken_and_stands_back_where_its_name_is_spoken() {
    use crate::dialect::{Dialect, Row, Spoken};
    let mut snapshot = Snapshot::new();
    let page = b"spoken 2\nnew 3\nx:load 1\n";
    translator()
        .translate(page, Format::Text004, &mut snapshot)
        .unwrap();
    let row = Row::family("llm_load", "spoken", MetricType::Gauge);
    let spoken = Spoken::new(&[Dialect::new("d", vec![row])], &[]).unwrap();
    let mut encoder = Encoder::with_dialects(Format::Text004, spoken);
    let (labels, mut ours) = (LabelSet::default(), Vec::new());
    let part = Part {
        snapshot: &snapshot,
        labels: &labels,
    };
    encoder.encode(&[part], &mut ours);
    let ours = String::from_utf8(ours).unwrap();
    assert_eq!(
        ours,
        "# TYPE new untyped\nnew 3\n# HELP spoken help\n# TYPE spoken gauge\nspoken 1\n"
    );
    assert_eq!(encoder.refused().families, 1);
}
