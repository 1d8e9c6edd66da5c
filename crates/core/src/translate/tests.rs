use super::*;
use crate::catalogue::{Catalogue, Families, Output, Reduce, Row, Scale};
use crate::{Bucket, Desc, Unit};

fn family(name: &'static str, kind: MetricType) -> Arc<Desc> {
    Arc::new(Desc::new(name, kind, Unit::None, "help"))
}

fn translator(rows: impl IntoIterator<Item = Row>) -> Translator {
    let families = Families::new([
        family("llm_g", MetricType::Gauge),
        family("llm_g2", MetricType::Gauge),
        family("llm_c_total", MetricType::Counter),
        family("llm_h_seconds", MetricType::Histogram),
        family("llm_s", MetricType::Summary),
        family("llm_facts_info", MetricType::Info),
    ]);
    let catalogue = Catalogue::new("x")
        .prefixes(["x:", "x_", "ray_x_"])
        .rows(rows)
        .left_out("http_*", "not ours");
    Translator::new(
        Arc::new(Compiled::new(catalogue, &families).unwrap()),
        TranslateOptions::default(),
    )
}

fn run(translator: &mut Translator, page: &str) -> Snapshot {
    let mut snapshot = Snapshot::new();
    translator
        .translate(page.as_bytes(), Format::Text004, &mut snapshot)
        .unwrap();
    snapshot
}

fn gauge(upstream: &'static str) -> Row {
    Row::new(upstream, MetricType::Gauge).to("llm_g")
}

#[test]
fn names_are_known_under_every_prefix() {
    for name in ["x:load", "x_load", "ray_x_load"] {
        let page = format!("# TYPE {name} gauge\n{name}{{a=\"1\"}} 2\n");
        assert_eq!(
            run(&mut translator([gauge("load")]), &page).value("llm_g", &[("a", "1")]),
            Some(2.0),
            "{name}"
        );
    }
    // The metadata may keep the colon where the samples lost it.
    let page = "# TYPE x:load gauge\nx_load 2\n";
    assert_eq!(
        run(&mut translator([gauge("load")]), page).value("llm_g", &[]),
        Some(2.0)
    );
}

#[test]
fn label_rules_apply_in_order() {
    let row = gauge("load")
        .rename_label("finished_reason", "finish_reason")
        .map_value("finish_reason", "len", "length")
        .drop_label("noise")
        .constant("cache", "local")
        .default_label("who", "nobody");
    let page = "# TYPE x:load gauge\nx:load{finished_reason=\"len\",noise=\"1\",empty=\"\"} 2\n";
    let snapshot = run(&mut translator([row]), page);
    let labels = [
        ("finish_reason", "length"),
        ("cache", "local"),
        ("who", "nobody"),
    ];
    assert_eq!(snapshot.value("llm_g", &labels), Some(2.0));
    let kept = gauge("load").keep_labels(["a"]);
    let snapshot = run(
        &mut translator([kept]),
        "# TYPE x:load gauge\nx:load{a=\"1\",b=\"2\"} 3\n",
    );
    assert_eq!(snapshot.value("llm_g", &[("a", "1")]), Some(3.0));
}

#[test]
fn a_histogram_keeps_its_own_edges_whatever_the_order_of_its_lines() {
    let row = Row::new("time_milliseconds", MetricType::Histogram)
        .to("llm_h_seconds")
        .scale(Scale::per(1000.0));
    let page = "# TYPE x:time_milliseconds histogram\n\
        x:time_milliseconds_sum{m=\"a\"} 2500\n\
        x:time_milliseconds_bucket{le=\"+Inf\",m=\"a\"} 3\n\
        x:time_milliseconds_bucket{le=\"300.0\",m=\"a\"} 1\n\
        x:time_milliseconds_count{m=\"a\"} 3\n";
    let histogram = run(&mut translator([row]), page)
        .histogram("llm_h_seconds", &[("m", "a")])
        .unwrap();
    assert_eq!(
        histogram.buckets,
        [
            Bucket {
                le: 0.3,
                count: 1.0
            },
            Bucket {
                le: f64::INFINITY,
                count: 3.0
            }
        ]
    );
    assert_eq!((histogram.sum, histogram.count), (Some(2.5), Some(3.0)));
}

#[test]
fn the_last_bucket_and_the_count_stand_in_for_each_other() {
    let row = || Row::new("t", MetricType::Histogram).to("llm_h_seconds");
    let no_count = "# TYPE x:t histogram\nx:t_bucket{le=\"1\"} 1\nx:t_bucket{le=\"+Inf\"} 3\n";
    let histogram = run(&mut translator([row()]), no_count)
        .histogram("llm_h_seconds", &[])
        .unwrap();
    assert_eq!((histogram.count, histogram.sum), (Some(3.0), None));
    let no_inf = "# TYPE x:t histogram\nx:t_bucket{le=\"1\"} 1\nx:t_count 3\n";
    let histogram = run(&mut translator([row()]), no_inf)
        .histogram("llm_h_seconds", &[])
        .unwrap();
    assert_eq!(
        histogram.buckets.last(),
        Some(&Bucket {
            le: f64::INFINITY,
            count: 3.0
        })
    );
}

#[test]
fn a_histogram_may_be_called_total_and_a_counter_count() {
    let rows = [
        Row::new("tokens_total", MetricType::Histogram).to("llm_h_seconds"),
        Row::new("request_count", MetricType::Counter).to("llm_c_total"),
    ];
    let page = "# TYPE x:tokens_total histogram\nx:tokens_total_bucket{le=\"+Inf\"} 3\nx:tokens_total_count 3\n\
        # TYPE x:request_count counter\nx:request_count 7\n";
    let snapshot = run(&mut translator(rows), page);
    assert_eq!(
        snapshot.histogram("llm_h_seconds", &[]).unwrap().count,
        Some(3.0)
    );
    assert_eq!(snapshot.value("llm_c_total", &[]), Some(7.0));
}

#[test]
fn openmetrics_metadata_without_the_suffix_is_understood() {
    let rows = [Row::new("req_total", MetricType::Counter).to("llm_c_total")];
    let page = "# TYPE x:req counter\nx:req_total 7.0\nx:req_created 1.7e9\n# EOF\n";
    let mut translator = translator(rows);
    let mut snapshot = Snapshot::new();
    translator
        .translate(page.as_bytes(), Format::OpenMetrics100, &mut snapshot)
        .unwrap();
    assert_eq!(snapshot.value("llm_c_total", &[]), Some(7.0));
    assert_eq!(snapshot.tally().dropped(DropReason::LeftOut), 1);
}

#[test]
fn creation_times_are_left_out_by_rule_but_a_gauge_that_is_none_is_not() {
    let page = "# TYPE x:req_total counter\nx:req_total 7\n# TYPE x:req_created gauge\nx:req_created 1.7e9\n\
        # TYPE x:job_created gauge\nx:job_created 5\n";
    let mut translator = translator([
        Row::new("req_total", MetricType::Counter).to("llm_c_total"),
        gauge("job_created"),
    ]);
    let snapshot = run(&mut translator, page);
    assert_eq!(snapshot.value("llm_g", &[]), Some(5.0));
    assert_eq!(snapshot.tally().dropped(DropReason::LeftOut), 1);
}

#[test]
fn the_better_generation_wins_whichever_comes_first() {
    let rows = || [gauge("new"), gauge("old").superseded_by("new")];
    for page in [
        "# TYPE x:old gauge\nx:old 1\n# TYPE x:new gauge\nx:new 2\n",
        "# TYPE x:new gauge\nx:new 2\n# TYPE x:old gauge\nx:old 1\n",
    ] {
        let mut translator = translator(rows());
        let snapshot = run(&mut translator, page);
        assert_eq!(snapshot.value("llm_g", &[]), Some(2.0));
        assert_eq!(snapshot.tally().dropped(DropReason::Superseded), 1);
    }
    let mut translator = translator(rows());
    assert_eq!(
        run(&mut translator, "# TYPE x:old gauge\nx:old 1\n").value("llm_g", &[]),
        Some(1.0)
    );
    // The server is upgraded, then rolled back.
    assert_eq!(
        run(
            &mut translator,
            "# TYPE x:old gauge\nx:old 1\n# TYPE x:new gauge\nx:new 2\n"
        )
        .value("llm_g", &[]),
        Some(2.0)
    );
    assert_eq!(
        run(&mut translator, "# TYPE x:old gauge\nx:old 3\n").value("llm_g", &[]),
        Some(3.0)
    );
}

#[test]
fn processes_become_one_series() {
    let page = "# TYPE x:load gauge\nx:load{pid=\"1\"} 0.25\nx:load{pid=\"2\"} 0.75\nx:load{pid=\"3\"} 0.5\n";
    assert_eq!(
        run(&mut translator([gauge("load")]), page).value("llm_g", &[]),
        Some(0.75)
    );
    let sum = gauge("load").processes(Reduce::Sum);
    assert_eq!(
        run(&mut translator([sum]), page).value("llm_g", &[]),
        Some(1.5)
    );
}

#[test]
fn only_the_newest_series_counts_where_upstream_never_removes_any() {
    let rows = [
        Row::new("lora_info", MetricType::Gauge)
            .output(Output::LabelItems {
                label: "running".into(),
                family: "llm_g".into(),
                item: "adapter".into(),
            })
            .keep_labels(["none"])
            .newest(),
        Row::new("lora_info", MetricType::Gauge)
            .output(Output::LabelCount {
                label: "running".into(),
                family: "llm_g2".into(),
            })
            .keep_labels(["none"])
            .newest(),
    ];
    let mut translator = translator(rows);
    let page = |old: u32, new: u32| {
        format!(
            "# TYPE x:lora_info gauge\nx:lora_info{{running=\"sql, chat\"}} {old}\nx:lora_info{{running=\"\"}} {new}\n"
        )
    };
    let snapshot = run(&mut translator, &page(1, 2));
    assert_eq!(snapshot.value("llm_g", &[("adapter", "sql")]), None);
    assert_eq!(snapshot.value("llm_g2", &[]), Some(0.0));
    let snapshot = run(&mut translator, &page(3, 2));
    assert_eq!(snapshot.value("llm_g", &[("adapter", "sql")]), Some(1.0));
    assert_eq!(snapshot.value("llm_g", &[("adapter", "chat")]), Some(1.0));
    assert_eq!(snapshot.value("llm_g2", &[]), Some(2.0));
    assert_eq!(snapshot.tally().dropped(DropReason::Outdated), 1);
}

#[test]
fn numbers_and_facts_come_out_of_labels() {
    let rows = [
        Row::new("config_info", MetricType::Gauge)
            .output(Output::LabelNumber {
                label: "block_size".into(),
                family: "llm_g".into(),
                shared_by: None,
            })
            .keep_labels(["engine"]),
        Row::new("config_info", MetricType::Gauge)
            .output(Output::LabelNumber {
                label: "blocks".into(),
                family: "llm_g2".into(),
                shared_by: None,
            })
            .keep_labels(["engine"]),
        Row::new("config_info", MetricType::Gauge)
            .output(Output::Facts("llm_facts_info".into()))
            .keep_labels(["engine", "dtype"]),
    ];
    let page = "# TYPE x:config_info gauge\nx:config_info{block_size=\"16\",blocks=\"None\",dtype=\"auto\",engine=\"0\"} 1\n";
    let snapshot = run(&mut translator(rows), page);
    assert_eq!(snapshot.value("llm_g", &[("engine", "0")]), Some(16.0));
    assert_eq!(snapshot.value("llm_g2", &[("engine", "0")]), None);
    assert_eq!(
        snapshot.value("llm_facts_info", &[("dtype", "auto"), ("engine", "0")]),
        Some(1.0)
    );
}

#[test]
fn a_number_that_is_a_sum_is_shared_out() {
    let row = || {
        Row::new("config_info", MetricType::Gauge)
            .output(Output::LabelNumber {
                label: "blocks".into(),
                family: "llm_g".into(),
                shared_by: Some("engine".into()),
            })
            .keep_labels(["engine"])
    };
    type EngineAndBlocks = (&'static str, &'static str);
    // The series of a page, and what each engine then has.
    let cases: [(&[EngineAndBlocks], &[Option<f64>]); 8] = [
        (&[("0", "161")], &[Some(161.0)]),
        (&[("", "161")], &[Some(161.0)]),
        (&[("0", "160"), ("1", "160")], &[Some(80.0), Some(80.0)]),
        (&[("0", "9"), ("1", "9"), ("2", "9")], &[Some(3.0); 3]),
        (&[("0", "161"), ("1", "161")], &[None, None]),
        (&[("0", "None"), ("1", "None")], &[None, None]),
        // Not a sum that is repeated: each has its own.
        (&[("0", "79"), ("1", "81")], &[Some(79.0), Some(81.0)]),
        // Nobody knows who the one without a name is.
        (&[("0", "160"), ("", "160")], &[None, None]),
    ];
    for (series, expected) in cases {
        let mut page = "# TYPE x:config_info gauge\n".to_owned();
        for (engine, blocks) in series {
            page += &format!("x:config_info{{blocks=\"{blocks}\",engine=\"{engine}\"}} 1\n");
        }
        let snapshot = run(&mut translator([row()]), &page);
        for ((engine, _), expected) in series.iter().zip(expected) {
            let engine = Some(("engine", *engine)).filter(|(_, engine)| !engine.is_empty());
            let labels: Vec<_> = engine.into_iter().collect();
            assert_eq!(snapshot.value("llm_g", &labels), *expected, "{page}");
        }
    }
}

#[test]
fn a_number_is_shared_out_anew_when_a_sharer_comes() {
    let row = Row::new("config_info", MetricType::Gauge)
        .output(Output::LabelNumber {
            label: "blocks".into(),
            family: "llm_g".into(),
            shared_by: Some("engine".into()),
        })
        .keep_labels(["engine"]);
    let mut translator = translator([row]);
    let one = "# TYPE x:config_info gauge\nx:config_info{blocks=\"160\",engine=\"0\"} 1\n";
    let two = format!("{one}x:config_info{{blocks=\"160\",engine=\"1\"}} 1\n");
    for (page, blocks) in [(one, 160.0), (&two, 80.0), (&two, 80.0), (one, 160.0)] {
        let snapshot = run(&mut translator, page);
        assert_eq!(snapshot.value("llm_g", &[("engine", "0")]), Some(blocks));
    }
}

#[test]
fn a_counter_comes_out_of_a_histogram() {
    let rows = [Row::new("len", MetricType::Histogram).output(Output::Sum("llm_c_total".into()))];
    let page = "# TYPE x:len histogram\nx:len_bucket{le=\"+Inf\"} 2\nx:len_sum 50\nx:len_count 2\n";
    assert_eq!(
        run(&mut translator(rows), page).value("llm_c_total", &[]),
        Some(50.0)
    );
}

#[test]
fn a_summary_may_have_no_quantiles() {
    let row = || Row::new("s", MetricType::Summary).to("llm_s");
    let snapshot = run(
        &mut translator([row()]),
        "# TYPE x:s summary\nx:s_sum 5\nx:s_count 2\n",
    );
    let series = snapshot
        .shape()
        .family("llm_s")
        .unwrap()
        .series()
        .next()
        .unwrap();
    assert_eq!(
        (
            snapshot.get(series.sum_slot()),
            snapshot.get(series.count_slot())
        ),
        (Some(5.0), Some(2.0))
    );
    let snapshot = run(
        &mut translator([row()]),
        "# TYPE x:s summary\nx:s{quantile=\"0.5\"} 1\nx:s_sum 5\nx:s_count 2\n",
    );
    let series = snapshot
        .shape()
        .family("llm_s")
        .unwrap()
        .series()
        .next()
        .unwrap();
    assert_eq!(snapshot.get(series.edge_slot(0)), Some(1.0));
}

#[test]
fn sentinels_nan_and_other_types_are_dropped_and_counted() {
    let mut translator = translator([
        gauge("load").sentinel(-1.0),
        Row::new("c_total", MetricType::Counter).to("llm_c_total"),
    ]);
    let page = "# TYPE x:load gauge\nx:load{a=\"1\"} -1\nx:load{a=\"2\"} NaN\n# TYPE x:c_total gauge\nx:c_total 1\n";
    let snapshot = run(&mut translator, page);
    assert_eq!(snapshot.value("llm_g", &[("a", "1")]), None);
    assert_eq!(snapshot.tally().dropped(DropReason::Sentinel), 1);
    assert_eq!(snapshot.tally().dropped(DropReason::NotANumber), 1);
    assert_eq!(snapshot.tally().dropped(DropReason::TypeClash), 1);
    assert_eq!(
        translator.report().families[1].verdict,
        Verdict::TypeClash(vec![MetricType::Counter])
    );
}

#[test]
fn a_series_that_stands_twice_counts_once() {
    let snapshot = run(
        &mut translator([gauge("load")]),
        "# TYPE x:load gauge\nx:load{a=\"1\"} 1\nx:load{a=\"1\"} 2\n",
    );
    assert_eq!(snapshot.value("llm_g", &[("a", "1")]), Some(1.0));
    assert_eq!(snapshot.tally().dropped(DropReason::Duplicate), 1);
}

#[test]
fn nothing_is_lost_silently() {
    let mut translator = translator([gauge("load").since("V1", "0.7.1").note("a note")]);
    let page = "# TYPE x:load gauge\nx:load 1\n# TYPE http_requests_total counter\nhttp_requests_total 2\n# TYPE x:odd gauge\nx:odd 3\nx:odd{a=\"b\"} 3\n";
    let snapshot = run(&mut translator, page);
    let report = translator.report();
    let verdicts: Vec<_> = report
        .families
        .iter()
        .map(|f| (f.name.as_str(), f.samples, f.verdict.clone()))
        .collect();
    assert_eq!(
        verdicts,
        [
            ("x:load", 1, Verdict::Mapped(vec!["llm_g".into()])),
            (
                "http_requests_total",
                1,
                Verdict::LeftOut("not ours".into())
            ),
            ("x:odd", 2, Verdict::Unmapped),
        ]
    );
    assert_eq!(
        (
            report.families[0].releases.as_str(),
            report.families[0].note.as_str()
        ),
        ("V1 0.7.1–", "a note")
    );
    let tally = snapshot.tally();
    assert_eq!((tally.samples, tally.unmapped_families), (Some(4), 1));
    assert_eq!(
        (
            tally.dropped(DropReason::LeftOut),
            tally.dropped(DropReason::Unmapped)
        ),
        (1, 2)
    );
}

#[test]
fn a_line_that_comes_and_goes_keeps_the_shape() {
    let mut translator = translator([gauge("load")]);
    let (both, one) = (
        "# TYPE x:load gauge\nx:load{a=\"1\"} 1\nx:load{a=\"2\"} 2\n",
        "# TYPE x:load gauge\nx:load{a=\"1\"} 5\n",
    );
    let shape = run(&mut translator, both).shape().id();
    let snapshot = run(&mut translator, one);
    assert_eq!(snapshot.shape().id(), shape);
    assert_eq!(snapshot.value("llm_g", &[("a", "2")]), None);
    assert_eq!(run(&mut translator, both).shape().id(), shape);
}

#[test]
fn a_page_that_fails_leaves_an_empty_snapshot() {
    let mut translator = translator([gauge("load")]);
    let mut snapshot = run(&mut translator, "x:load 1\n");
    assert_eq!(snapshot.value("llm_g", &[]), Some(1.0));
    let error = translator
        .translate(b"x:load 2\nx:load{ 3\n", Format::Text004, &mut snapshot)
        .unwrap_err();
    assert_eq!(error.line(), 2);
    assert_eq!(snapshot.value("llm_g", &[]), None);
}

#[test]
fn a_name_without_the_prefix_is_somebody_elses() {
    let mut translator = translator([gauge("load")]);
    let snapshot = run(
        &mut translator,
        "# TYPE load gauge\nload 7\n# TYPE x:load gauge\nx:load 1\n",
    );
    assert_eq!(snapshot.value("llm_g", &[]), Some(1.0));
    assert_eq!(snapshot.tally().dropped(DropReason::Unmapped), 1);
    let names: Vec<_> = translator
        .report()
        .families
        .iter()
        .map(|family| family.name.as_str())
        .collect();
    assert_eq!(names, ["load", "x:load"]);
}

#[test]
fn another_order_of_the_same_lines_keeps_the_plan() {
    let mut translator = translator([gauge("load")]);
    let page = |order: [u32; 3]| {
        let lines = order.map(|line| format!("x:load{{a=\"{line}\"}} {line}\n"));
        format!("# TYPE x:load gauge\n{}", lines.concat())
    };
    run(&mut translator, &page([1, 2, 3]));
    let report: *const FamilyReport = translator.report().families.as_ptr();
    let snapshot = run(&mut translator, &page([3, 1, 2]));
    assert_eq!(snapshot.value("llm_g", &[("a", "2")]), Some(2.0));
    assert_eq!(
        translator.report().families.as_ptr(),
        report,
        "the plan was not made again"
    );
    // As many lines, but not the same ones.
    let snapshot = run(&mut translator, &page([3, 4, 2]));
    assert_eq!(snapshot.value("llm_g", &[("a", "4")]), Some(4.0));
    assert_eq!(snapshot.value("llm_g", &[("a", "1")]), None);
}

fn openmetrics(translator: &mut Translator, page: &str, snapshot: &mut Snapshot) -> Vec<String> {
    let page = format!("{page}# EOF\n");
    translator
        .translate(page.as_bytes(), Format::OpenMetrics100, snapshot)
        .unwrap();
    let mut said = Vec::new();
    for (slot, exemplar) in snapshot.exemplars() {
        let (desc, series) = snapshot.shape().at_slot(slot).unwrap();
        let at = slot.index() - series.slot().index();
        let labels: Vec<_> = exemplar.labels().collect();
        let (value, time) = (exemplar.value(), exemplar.timestamp_ms());
        said.push(format!("{}/{at} {labels:?} {value} {time:?}", desc.name()));
    }
    said
}

#[test]
fn exemplars_go_with_the_values_of_their_lines() {
    let mut translator = translator([
        Row::new("done_total", MetricType::Counter).to("llm_c_total"),
        Row::new("wait_ms", MetricType::Histogram)
            .to("llm_h_seconds")
            .scale(Scale::per(1000.0)),
        gauge("load"),
    ]);
    let metadata = "# TYPE x:done counter\n# TYPE x:wait_ms histogram\n# TYPE x:load gauge\n";
    let page = |values: [&str; 5]| {
        let [done, low, high, infinite, load] = values;
        format!(
            "{metadata}x:done_total 4{done}\nx:wait_ms_bucket{{le=\"10\"}} 1{low}\n\
             x:wait_ms_bucket{{le=\"1000\"}} 2{high}\nx:wait_ms_bucket{{le=\"+Inf\"}} 3{infinite}\n\
             x:wait_ms_sum 2000\nx:wait_ms_count 3\nx:load 1{load}\n"
        )
    };
    let mut snapshot = Snapshot::new();
    let said = openmetrics(
        &mut translator,
        &page([
            " # {trace_id=\"a\"} 1 1520879607.789",
            " # {trace_id=\"b\\\"\"} 7",
            "",
            " # {} 1500",
            " # {trace_id=\"on a gauge\"} 1",
        ]),
        &mut snapshot,
    );
    assert_eq!(
        said,
        [
            r#"llm_c_total/0 [("trace_id", "a")] 1 Some(1520879607789)"#,
            r#"llm_h_seconds/0 [("trace_id", "b\"")] 0.007 None"#,
            "llm_h_seconds/2 [] 1.5 None",
        ]
    );
    let shape = snapshot.shape().id();
    // Others, one in the wrong bucket, one too long; then none.
    let long = format!(" # {{trace_id=\"{}\"}} 20", "x".repeat(121));
    let said = openmetrics(
        &mut translator,
        &page(["", " # {trace_id=\"c\"} 11", &long, "", ""]),
        &mut snapshot,
    );
    assert_eq!(said, [""; 0]);
    let fits = long.replacen('x', "", 1);
    let said = openmetrics(
        &mut translator,
        &page(["", "", &fits, "", ""]),
        &mut snapshot,
    );
    assert_eq!(said.len(), 1);
    assert!(said[0].starts_with("llm_h_seconds/1 "), "{said:?}");
    let said = openmetrics(&mut translator, &page([""; 5]), &mut snapshot);
    assert_eq!(said, [""; 0]);
    assert_eq!(snapshot.shape().id(), shape, "the shape is the same");
    // A page in which something is wrong has none either.
    let broken = page([" # {trace_id=\"a\"} 1", "", "", "", " x"]);
    let error = translator.translate(broken.as_bytes(), Format::OpenMetrics100, &mut snapshot);
    assert!(error.is_err());
    assert_eq!(snapshot.exemplars().len(), 0);
}

#[test]
fn of_several_processes_the_newest_exemplar_stays() {
    let row = Row::new("done_total", MetricType::Counter).to("llm_c_total");
    let mut translator = translator([row.processes(Reduce::Sum)]);
    let mut snapshot = Snapshot::new();
    let said = openmetrics(
        &mut translator,
        "# TYPE x:done counter\n\
         x:done_total{pid=\"1\"} 4 # {t=\"late\"} 1 9\n\
         x:done_total{pid=\"2\"} 4 # {t=\"early\"} 1 3\n\
         x:done_total{pid=\"3\"} 4 # {t=\"some time\"} 1\n",
        &mut snapshot,
    );
    assert_eq!(said, [r#"llm_c_total/0 [("t", "late")] 1 Some(9000)"#]);
}
