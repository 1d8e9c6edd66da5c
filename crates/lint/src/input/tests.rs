//! Files of all kinds: what is found in them, and what is said of the rest.

use super::*;

#[test]
fn a_broken_document_does_not_hide_the_others() {
    let text = "groups:\n- name: a\n  rules:\n  - {record: a:b, expr: up}\n---\na: [1\n---\n\
                groups:\n- name: b\n  rules:\n  - {alert: C, expr: up == 0}\n";
    let document = read(&Reader::default(), "x.yml", text, true);
    assert_eq!(document.queries.len(), 2);
    assert_eq!(document.queries[1].place.line, 11);
    assert_eq!(document.flaws.len(), 1);
    assert!((5..=7).contains(&document.flaws[0].flaw.place.line));
}

/// Which rules are allowed where, and what was said in vain.
fn allowed(document: &Document) -> (Vec<&str>, Vec<Vec<&str>>, Vec<String>) {
    fn words(directives: &Directives) -> Vec<&str> {
        directives.allowed.iter().map(|word| &**word).collect()
    }
    let queries = document.queries.iter().map(|query| words(&query.allowed));
    let flaws = document.flaws.iter().map(|trouble| {
        assert_eq!(trouble.rule, "unknown-directive");
        trouble.flaw.to_string()
    });
    (
        words(&document.directives),
        queries.collect(),
        flaws.collect(),
    )
}

#[test]
fn what_is_allowed_for_a_rule_is_for_no_other() {
    let text = "# tokenpath-lint: allow wrong-unit\ngroups:\n- rules:\n\
                \x20 # tokenpath-lint: allow missing-le\n  - {alert: A, expr: up}\n\
                \x20 - alert: B\n    expr: \"# tokenpath-lint: allow missing-rate\\nup\"\n---\n\
                # tokenpath-lint: allow self-ratio\ngroups:\n- rules:\n\
                \x20 # tokenpath-lint: dialect vllm-v0\n  - {alert: C, expr: up}\n\
                \x20 # tokenpath-lint: allow rate-of-gague\n";
    let document = read(&Reader::default(), "x.yml", text, true);
    let (file, queries, flaws) = allowed(&document);
    assert_eq!(file, ["self-ratio", "wrong-unit"]);
    let own: [&[&str]; 3] = [&["missing-le"], &["missing-rate"], &["rate-of-gague"]];
    assert_eq!(queries, own);
    let [dialect, unknown] = &flaws[..] else {
        panic!("{flaws:?}");
    };
    assert!(
        dialect.starts_with("12:5: `dialect` is of a whole file"),
        "{dialect}"
    );
    assert_eq!(unknown, "14:5: `rate-of-gague` is no rule");
    assert!(document.directives.dialects.is_empty());

    // In a list of manifests, too.
    let item = |words: &str| {
        format!(
            "- kind: PrometheusRule\n  apiVersion: monitoring.coreos.com/v1\n  spec:\n    groups:\n    - rules:\n{words}\n      - {{alert: A, expr: up}}\n"
        )
    };
    let text = format!(
        "kind: List\nitems:\n{}{}",
        item("      - {alert: B, expr: up}\n      # tokenpath-lint: allow missing-le"),
        item("")
    );
    let document = read(&Reader::default(), "x.yml", &text, true);
    let own: [&[&str]; 3] = [&[], &["missing-le"], &[]];
    assert_eq!(
        allowed(&document),
        (vec![], own.map(<[_]>::to_vec).to_vec(), vec![])
    );
}

#[test]
fn what_a_dashboard_says_in_vain_is_said() {
    let text = r##"{"schemaVersion": 39, "tags": ["tokenpath-lint: allow self-ratio"],
 "panels": [{"description": "tokenpath-lint: dialect vllm-v0",
  "targets": [{"expr": "# tokenpath-lint: allow wrong-unti\nup"}]}]}"##;
    let document = read(&Reader::default(), "d.json", text, true);
    let (file, _, flaws) = allowed(&document);
    assert_eq!(file, ["self-ratio"]);
    let [panel, expression] = &flaws[..] else {
        panic!("{flaws:?}");
    };
    assert!(
        panel.starts_with("2:29: `dialect` is of a whole file"),
        "{panel}"
    );
    assert_eq!(expression, "3:25: `wrong-unti` is no rule");
}

/// What is asked of Prometheus in a dashboard of schema 39, and the flaws of it.
fn dashboard(inside: &str) -> (Vec<String>, Vec<String>) {
    let text = format!("{{\"schemaVersion\": 39, {inside}}}");
    let document = read(&Reader::default(), "d.json", &text, true);
    let queries = document.queries.into_iter().map(|query| query.text);
    let flaws = document.flaws.iter();
    let flaws = flaws.map(|trouble| format!("{} {}", trouble.rule, trouble.flaw));
    (queries.collect(), flaws.collect())
}

#[test]
fn queries_are_found_wherever_grafana_keeps_them() {
    for (inside, queries) in [
        (
            r#""panels": [{"targets": [{"expr": "a"}]}, {"panels": [{"targets": [{"expr": "b"}]}]}]"#,
            &["a", "b"][..],
        ),
        (
            r#""rows": [{"panels": [{"targets": [{"expr": "a"}]}]}]"#,
            &["a"],
        ),
        (
            r#""panels": [{"libraryPanel": {"uid": "x"}}],
            "__elements": {"x": {"kind": 1, "model": {"targets": [{"expr": "a"}]}}}"#,
            &["a"],
        ),
        (r#""__elements": []"#, &[]),
        (r#""annotations": {"list": [{"expr": "a"}]}"#, &["a"]),
        (
            r#""annotations": {"list": [{"target": {"expr": "a", "refId": "Anno"}}]}"#,
            &["a"],
        ),
        (
            r#""annotations": {"list": [{"expr": "a", "target": {"expr": ""}}]}"#,
            &["a"],
        ),
        (
            r#""annotations": {"list": [{"builtIn": 1, "target": {"type": "dashboard"}}]}"#,
            &[],
        ),
        (
            r#""annotations": {"list": [{"datasource": {"type": "loki"}, "expr": "a"}]}"#,
            &[],
        ),
    ] {
        let none: Vec<String> = Vec::new();
        let queries = queries.iter().map(|query| (*query).to_owned()).collect();
        assert_eq!(dashboard(inside), (queries, none), "{inside}");
    }
}

#[test]
fn variables_are_queries_as_grafana_reads_them() {
    for (query, queries) in [
        (
            r#""label_values(a{b=\"c\"}, d)""#,
            &[r#"group by (d) (a{b="c"})"#][..],
        ),
        (
            r#"{"query": "label_values(a, d)", "refId": "x"}"#,
            &["group by (d) (a)"],
        ),
        (r#""label_values(a, $d)""#, &["a"]),
        (r#""label_values(d)""#, &[]),
        (r#""label_names()""#, &[]),
        (r#""metrics(.*_total)""#, &[]),
        (r#""query_result(topk(3, a))""#, &["topk(3, a)"]),
        // Any other text is a selector.
        (r#"" a{b=\"c\"} ""#, &[r#" a{b="c"} "#]),
        (r#""label_valeus(a, d)""#, &["label_valeus(a, d)"]),
        (
            r#""label_values(a{b=\"c\",d=\"e\"})""#,
            &[r#"label_values(a{b="c",d="e"})"#],
        ),
        (r#""""#, &[]),
    ] {
        let said = |source: &str| {
            dashboard(&format!(
                r#""templating": {{"list": [{{"type": "query", {source} "query": {query}}}]}}"#
            ))
        };
        let known = said(r#""datasource": {"type": "prometheus"},"#);
        assert_eq!(
            known,
            (
                queries.iter().map(|query| (*query).to_owned()).collect(),
                vec![]
            )
        );
        let other = said(r#""datasource": {"type": "postgres"},"#);
        assert_eq!(other, (vec![], vec![]));
    }
    // Where the source is not said, what is no function may be of any language.
    let inside = r#""templating": {"list": [{"type": "query", "query": "SELECT a FROM b"}]}"#;
    assert_eq!(dashboard(inside), (vec![], vec![]));
}

#[test]
fn a_dashboard_of_an_unknown_schema_says_so_and_is_read() {
    for (text, says) in [
        (r#"{"schemaVersion": 42, "panels": [PANEL]}"#, None),
        (r#"{"panels": [PANEL]}"#, None),
        (
            r#"{"schemaVersion": 43, "panels": [PANEL]}"#,
            Some("1:19: schemaVersion 43 is newer than 42, the newest that is known"),
        ),
        (
            r#"{"schemaVersion": "new", "panels": [PANEL]}"#,
            Some("1:19: schemaVersion is a whole number"),
        ),
        (
            r#"{"elements": {}, "panels": [PANEL]}"#,
            Some("1:1: a dashboard of schema v2, which is not known"),
        ),
    ] {
        let text = text.replace("PANEL", r#"{"targets": [{"expr": "up"}]}"#);
        let document = read(&Reader::default(), "d.json", &text, false);
        assert_eq!(document.queries.len(), 1, "{text}");
        let flaws = document.flaws.iter().map(|trouble| {
            assert_eq!(trouble.rule, "unknown-schema");
            trouble.flaw.to_string()
        });
        let flaws: Vec<String> = flaws.collect();
        assert_eq!(flaws.len(), usize::from(says.is_some()), "{flaws:?}");
        assert!(
            flaws
                .iter()
                .zip(says)
                .all(|(flaw, says)| flaw.starts_with(says)),
            "{flaws:?}"
        );
    }
}

#[test]
fn what_no_dashboard_has_is_a_flaw() {
    for (inside, says) in [
        (
            r#""panels": {"a": {}}"#,
            "1:33: `panels` is a list, and this is a map",
        ),
        (
            r#""panels": [{"targets": "a"}]"#,
            "1:46: `targets` is a list, and this is text",
        ),
        (
            r#""rows": [{"panels": "a"}]"#,
            "1:43: `panels` is a list, and this is text",
        ),
        (
            r#""templating": {"list": {}}"#,
            "1:46: `list` is a list, and this is a map",
        ),
        (
            r#""panels": [{"targets": [{"expr": ["a"]}]}]"#,
            "1:56: an expression is text, and this is a list",
        ),
    ] {
        assert_eq!(
            dashboard(inside),
            (vec![], vec![format!("bad-file {says}")])
        );
    }
    let null = r#""panels": null, "templating": {}, "rows": [{"panels": [{"targets": null}]}]"#;
    assert_eq!(dashboard(null), (vec![], vec![]));
}

#[test]
fn what_prometheus_would_refuse_is_a_flaw() {
    for (text, says) in [
        ("groups: many", "1:9: `groups` is a list, and this is text"),
        (
            "groups: [{name: a, rules: [{alert: B, expr: up}]}, b]",
            "1:52: a group is a map, and this is text",
        ),
        (
            "groups: [{name: a, rules: {alert: B, expr: up}}]",
            "1:27: `rules` is a list, and this is a map",
        ),
        (
            "groups: [{rules: [{expr: up}]}]",
            "1:19: a rule is an `alert` or a `record`, and this is neither",
        ),
        (
            "groups: [{rules: [{alert: A, record: b, expr: up}]}]",
            "1:19: a rule is an `alert` or a `record`, and this is both",
        ),
        (
            "groups: [{rules: [{alert: A, for: 5m}]}]",
            "1:19: the alert A has no `expr`",
        ),
        (
            "groups: [{rules: [{alert: A, expr: }]}]",
            "the alert A has no `expr`",
        ),
        (
            "groups: [{rules: [{record: a, expr: {b: up}}]}]",
            "1:37: an expression is text, and this is a map",
        ),
        (
            "{apiVersion: monitoring.coreos.com/v1, kind: PrometheusRule, spec: x}",
            "1:68: `spec` is a map, and this is text",
        ),
    ] {
        let document = read(&Reader::default(), "x.yml", text, false);
        let [Trouble { rule, flaw }] = &document.flaws[..] else {
            panic!("{text}: {:?}", document.flaws);
        };
        assert_eq!(*rule, "bad-file", "{text}");
        assert!(flaw.to_string().contains(says), "{text}: {flaw}");
    }
    for text in [
        "groups: ",
        "groups: [{name: a}]",
        "groups: [{name: a, rules: }]",
        "{apiVersion: monitoring.coreos.com/v1, kind: PrometheusRule}",
        "{apiVersion: monitoring.coreos.com/v1, kind: PrometheusRule, spec: }",
    ] {
        let document = read(&Reader::default(), "x.yml", text, true);
        assert!(document.flaws.is_empty(), "{text}: {:?}", document.flaws);
    }
}

#[test]
fn files_of_others_are_none_of_ours() {
    for (text, named, troubles) in [
        ("groups: [admins, users]\n", false, 0),
        ("groups: [admins, users]\n", true, 1),
        // Rules of Grafana's own alerting.
        ("groups: [{rules: [{title: A, data: []}]}]\n", false, 0),
        ("groups: [{rules: [{title: A, data: []}]}]\n", true, 1),
        ("a: b\n", false, 0),
        ("a: b\n", true, 1),
        ("", true, 0),
        ("kind: Service\napiVersion: v1\n", false, 0),
    ] {
        assert_eq!(
            read(&Reader::default(), "x.yaml", text, named).flaws.len(),
            troubles,
            "{text}"
        );
    }
    assert_eq!(
        read(&Reader::default(), "x.json", "{\"name\": 1}", false)
            .flaws
            .len(),
        0
    );
    assert_eq!(
        read(&Reader::default(), "x.json", "{\"name\": 1}", true)
            .flaws
            .len(),
        1
    );
    assert_eq!(
        read(&Reader::default(), "x.json", "{\"name\": 1", false)
            .flaws
            .len(),
        1
    );
}
