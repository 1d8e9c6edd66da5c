use super::FindingKind as K;
use super::*;

/// Kinds and lines of what is found.
fn found(page: &str, format: Format) -> Vec<(u64, FindingKind)> {
    check(page.as_bytes(), format)
        .into_iter()
        .map(|f| (f.line, f.kind))
        .collect()
}

const GOOD_TEXT: &str = "\
# HELP ttft_seconds Time to the first token.
# TYPE ttft_seconds histogram
ttft_seconds_bucket{engine=\"0\",le=\"0.1\"} 1
ttft_seconds_bucket{engine=\"0\",le=\"1.0\"} 3
ttft_seconds_bucket{engine=\"0\",le=\"+Inf\"} 4
ttft_seconds_count{engine=\"0\"} 4
ttft_seconds_sum{engine=\"0\"} 2.5
ttft_seconds_bucket{engine=\"1\",le=\"0.1\"} 0
ttft_seconds_bucket{engine=\"1\",le=\"+Inf\"} 0
ttft_seconds_count{engine=\"1\"} 0
ttft_seconds_sum{engine=\"1\"} 0
# TYPE iteration_tokens_total histogram
iteration_tokens_total_bucket{le=\"+Inf\"} 1
iteration_tokens_total_sum 1
iteration_tokens_total_count 1
# TYPE tgi_request_count counter
tgi_request_count 7
# TYPE gc_seconds summary
gc_seconds{quantile=\"0\"} 1
gc_seconds{quantile=\"1.0\"} NaN
gc_seconds_sum 3
gc_seconds_count 2
# TYPE idle_seconds summary
idle_seconds_sum 0
idle_seconds_count 0
# TYPE running untyped
running -3
";

const GOOD_OPENMETRICS: &str = "\
# TYPE a_seconds histogram
# UNIT a_seconds seconds
# HELP a_seconds x
a_seconds_bucket{le=\"0.1\"} 1 # {trace_id=\"x\"} 0.05
a_seconds_bucket{le=\"+Inf\"} 2
a_seconds_count 2
a_seconds_sum 3
a_seconds_created 1.5
# TYPE b counter
b_total 1 # {} 1
b_created 2
# TYPE c info
c_info{version=\"1\"} 1
# TYPE d stateset
d{d=\"on\"} 1
d{d=\"off\"} 0
# TYPE e gaugehistogram
e_bucket{le=\"+Inf\"} 2
e_gcount 2
e_gsum 3
# TYPE f gauge
f 1 1
f 2 2
# TYPE g histogram
g_bucket{le=\"+Inf\"} 2
# TYPE h summary
h{quantile=\"0.5\"} 2
# EOF
";

#[test]
fn finds_nothing_in_good_pages() {
    assert_eq!(found(GOOD_TEXT, Format::Text004), []);
    assert_eq!(found(GOOD_OPENMETRICS, Format::OpenMetrics100), []);
    assert_eq!(found("", Format::Text004), []);
}

#[test]
fn finds_each_planted_fault_of_text() {
    for (name, page, want) in [
        (
            "not of the format",
            "# TYPE a gauge\na b\na 1\n",
            vec![(2, K::Syntax(ParseErrorKind::InvalidValue))],
        ),
        (
            "the same series",
            "# TYPE a gauge\na{b=\"1\",c=\"2\"} 1\na{c=\"2\",b=\"1\"} 2\n",
            vec![(3, K::DuplicateSeries)],
        ),
        (
            "escapes spell the same series",
            "# TYPE a gauge\na{b=\"\\z\"} 1\na{b=\"\\\\z\"} 2\n",
            vec![(3, K::DuplicateSeries)],
        ),
        (
            "timestamps do not help in text",
            "# TYPE a gauge\na 1 1\na 1 2\n",
            vec![(3, K::DuplicateSeries)],
        ),
        (
            "a family twice",
            "# TYPE a gauge\na{x=\"1\"} 1\n# TYPE b gauge\nb 1\na{x=\"2\"} 1\na{x=\"3\"} 1\n",
            vec![(5, K::SplitFamily)],
        ),
        (
            "help after samples",
            "# TYPE a gauge\na 1\n# HELP a x\n",
            vec![(3, K::MetadataAfterSamples)],
        ),
        (
            "type after samples",
            "a 1\n# TYPE a gauge\n",
            vec![(1, K::MissingType), (2, K::MetadataAfterSamples)],
        ),
        (
            "type after samples with a suffix",
            "a_sum 1\n# TYPE a summary\na_count 1\n",
            vec![
                (1, K::MissingType),
                (2, K::MetadataAfterSamples),
                (3, K::MissingSum),
            ],
        ),
        (
            "two types",
            "# TYPE a gauge\n# TYPE a gauge\na 1\n",
            vec![(2, K::DuplicateMetadata)],
        ),
        (
            "two helps",
            "# HELP a x\n# TYPE a gauge\n# HELP a x\na 1\n",
            vec![(3, K::DuplicateMetadata)],
        ),
        (
            "no type",
            "# HELP a x\na{b=\"1\"} 1\na{b=\"2\"} 1\n",
            vec![(2, K::MissingType)],
        ),
        (
            "a histogram without buckets' names",
            "# TYPE a histogram\na 1\n",
            vec![(2, K::WrongSuffix)],
        ),
        (
            "a negative counter",
            "# TYPE a counter\na -1\n",
            vec![(2, K::NegativeCounter)],
        ),
        (
            "a counter of NaN",
            "# TYPE a counter\na NaN\n",
            vec![(2, K::NegativeCounter)],
        ),
        (
            "no le",
            "# TYPE a histogram\na_bucket 1\na_bucket{le=\"x\"} 1\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n",
            vec![(2, K::BadLe), (3, K::BadLe)],
        ),
        (
            "buckets out of order",
            "# TYPE a histogram\na_bucket{le=\"2\"} 1\na_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n",
            vec![(3, K::UnorderedBuckets)],
        ),
        (
            "one edge twice",
            "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"1.0\"} 1\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n",
            vec![(3, K::UnorderedBuckets)],
        ),
        (
            "falling buckets",
            "# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"2\"} 1\na_bucket{le=\"+Inf\"} 2\na_sum 1\na_count 2\n",
            vec![(3, K::FallingBuckets)],
        ),
        (
            "no +Inf",
            "# TYPE a histogram\na_bucket{le=\"1\"} 2\na_sum 1\na_count 2\n",
            vec![(2, K::MissingInf)],
        ),
        (
            "no bucket at all",
            "# TYPE a histogram\na_sum 1\na_count 2\n",
            vec![(2, K::MissingInf)],
        ),
        (
            "a wrong count",
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} 2\na_sum 1\na_count 3\n",
            vec![(4, K::WrongCount)],
        ),
        (
            "no sum",
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} 2\na_count 2\n",
            vec![(2, K::MissingSum)],
        ),
        (
            "no count",
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} 2\na_sum 2\n",
            vec![(2, K::MissingCount)],
        ),
        (
            "one of two series without",
            "# TYPE a summary\na_sum{b=\"1\"} 2\na_sum{b=\"2\"} 2\na_count{b=\"2\"} 2\n",
            vec![(2, K::MissingCount)],
        ),
        (
            "quantiles",
            "# TYPE a summary\na{quantile=\"1.01\"} 1\na{quantile=\"x\"} 1\na 1\na_sum 1\na_count 1\n",
            vec![
                (2, K::BadQuantile),
                (3, K::BadQuantile),
                (4, K::BadQuantile),
            ],
        ),
        (
            "an OpenMetrics counter in text",
            "# TYPE a counter\na_total 1\n",
            vec![(2, K::MissingType)],
        ),
        (
            "a line across two",
            "# TYPE a gauge\na{b=\"\n\"} 1\na{b=\"\n\"} 1\n",
            vec![(4, K::DuplicateSeries)],
        ),
    ] {
        assert_eq!(found(page, Format::Text004), want, "{name}");
    }
}

#[test]
fn finds_each_planted_fault_of_openmetrics() {
    for (name, page, want) in [
        (
            "no end",
            "# TYPE a gauge\na 1\n",
            vec![(3, K::Syntax(ParseErrorKind::ExpectedEof))],
        ),
        (
            "a counter without _total",
            "# TYPE a counter\na 1\n# EOF\n",
            vec![(2, K::WrongSuffix)],
        ),
        (
            "a family called _total",
            "# TYPE a_total counter\na_total 1\n# EOF\n",
            vec![(2, K::WrongSuffix)],
        ),
        (
            "info",
            "# TYPE a info\na_info 2\n# EOF\n",
            vec![(2, K::WrongInfo)],
        ),
        (
            "info without its suffix",
            "# TYPE a info\na 1\n# EOF\n",
            vec![(2, K::WrongSuffix)],
        ),
        (
            "states",
            "# TYPE a stateset\na{a=\"x\"} 2\na{b=\"x\"} 1\n# EOF\n",
            vec![(2, K::WrongStateSet), (3, K::WrongStateSet)],
        ),
        (
            "unit",
            "# TYPE a gauge\n# UNIT a seconds\na 1\n# EOF\n",
            vec![(2, K::Syntax(ParseErrorKind::UnitNotSuffix))],
        ),
        (
            "unit of an info",
            "# TYPE a_u info\n# UNIT a_u u\na_u_info 1\n# EOF\n",
            vec![(2, K::UnitNotAllowed)],
        ),
        (
            "two units",
            "# TYPE a_u gauge\n# UNIT a_u u\n# UNIT a_u u\na_u 1\n# EOF\n",
            vec![(3, K::DuplicateMetadata)],
        ),
        (
            "timestamps that stand still",
            "# TYPE a gauge\na 1 1\na 1 1\n# EOF\n",
            vec![(3, K::DuplicateSeries)],
        ),
        (
            "an exemplar on a sum",
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_count 1\na_sum 1 # {a=\"b\"} 1\n# EOF\n",
            vec![(4, K::ExemplarNotAllowed)],
        ),
        (
            "half a histogram",
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_count 1\n# EOF\n",
            vec![(2, K::MissingSum)],
        ),
        (
            "negative counts of a gauge histogram",
            "# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} -1\na_gcount -1\na_gsum 1\n# EOF\n",
            vec![(2, K::NegativeCounter), (3, K::NegativeCounter)],
        ),
    ] {
        assert_eq!(found(page, Format::OpenMetrics100), want, "{name}");
    }
    let long = "x".repeat(128);
    let page = format!("# TYPE a counter\na_total 1 # {{t=\"{long}\"}} 1\n# EOF\n");
    assert_eq!(
        found(&page, Format::OpenMetrics100),
        [(2, K::ExemplarTooLong)]
    );
}

#[test]
fn a_finding_says_where_and_what() {
    let findings = check(b"# TYPE a counter\na{b=\"c\"} -1\n", Format::Text004);
    let [finding] = findings.as_slice() else {
        panic!("{findings:?}")
    };
    assert_eq!(finding.to_string(), "line 2: a counts, and is -1");
}
