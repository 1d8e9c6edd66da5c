//! What is shipped: examples that are right, and a JSON schema that is up to date.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use tokenpath_config::{Loader, Vocabulary, check, json_schema};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_examples_are_right() {
    for name in ["tokenpath.yaml", "fleet.yaml", "llamacpp.yaml"] {
        let errors = check(&root().join("examples").join(name), &Vocabulary::default());
        assert_eq!(errors, [], "{name}");
    }
}

#[test]
fn the_example_of_everything_means_what_it_says() {
    let path = root().join("examples/tokenpath.yaml");
    let environment = |name: &str| match name {
        "NODE_NAME" => Some("n1".to_owned()),
        "ENGINE_API_KEY" => Some("s3cr3t-value".to_owned()),
        _ => None,
    };
    let config = Loader::new().environment(environment).load(&path).unwrap();
    assert!(!format!("{config:?}").contains("s3cr3t-value"));
    assert_eq!(config.sources.len(), 5);
    let tgi = &config.sources[1];
    assert_eq!(
        (tgi.kind.as_deref(), tgi.reading.timeout.as_secs()),
        (Some("tgi"), 5)
    );
    assert_eq!(tgi.reading.labels.to_string(), r#"{cluster="a",node="n1"}"#);
    assert_eq!(
        tgi.reading.fallback_labels.get("model_name"),
        Some("mistral-7b")
    );
    assert_eq!(config.discovery.len(), 2);
    let dialects: Vec<_> = config
        .dialects
        .iter()
        .map(tokenpath_core::dialect::Dialect::name)
        .collect();
    assert_eq!(dialects, ["llm", "house"]);
    assert_eq!(config.tenants.limit, 500);
    assert!(
        config
            .probe
            .unwrap()
            .allow
            .allows("10.1.2.3:8000".parse().unwrap())
    );
    let errors = Loader::new().load(&path).unwrap_err();
    assert_eq!(
        errors.len(),
        1,
        "the variable that has no other value: {errors:?}"
    );
    assert!(
        errors[0]
            .message()
            .contains("the variable ENGINE_API_KEY is not set")
    );
}

/// `UPDATE=1 cargo test -p tokenpath-config --test shipped` writes it anew.
#[test]
fn the_json_schema_is_up_to_date() {
    let path = root().join("docs/tokenpath.schema.json");
    let made = format!(
        "{}\n",
        serde_json::to_string_pretty(&json_schema()).unwrap()
    );
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == made,
        "docs/tokenpath.schema.json is not what the schema gives; run with UPDATE=1"
    );
}
