//! Whatever stands in a file: no panic, errors with places, and no secret in any of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use tokenpath_config::{Loader, Overlay, Vocabulary, parse};

/// Pieces that a file may be made of, right ones and wrong ones.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "sources",
        "kind",
        "vllm",
        "endpoint",
        "localhost:8000",
        "labels",
        "discovery",
        "files",
        "a.yaml",
        "dialects",
        "speak",
        "define",
        "rows",
        "family",
        "llm_requests_running",
        "name",
        "type",
        "gauge",
        "catalogues",
        "backend",
        "upstream",
        "histogram",
        "divide",
        "interval",
        "5s",
        "defaults",
        "auth",
        "token",
        "${TOKEN}",
        "~",
        "null",
        "true",
        "-1",
        "1e999",
        "&a",
        "*a",
        "!t",
        "<<",
        "\u{feff}",
        "é",
    ];
    let marks = [
        ": ", "\n", "\n  ", "\n    ", "- ", "[", "]", "{", "}", ", ", "\"", "'", "|\n", "#", "\t",
        "? ",
    ];
    prop_oneof![
        4 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned),
        4 => proptest::sample::select(marks.to_vec()).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_text_panics(pieces in proptest::collection::vec(piece(), 0..40)) {
        let text = pieces.concat();
        if let Err(errors) = parse("t", &text, &Vocabulary::default()) {
            prop_assert!(!errors.is_empty());
            // YAML 1.2 §5.4: a carriage return alone ends a line too.
            let lines = u32::try_from(text.replace("\r\n", "\n").split(['\n', '\r']).count()).unwrap();
            for error in errors {
                let place = error.place().unwrap();
                prop_assert!((1..=lines + 1).contains(&place.line), "{} in {:?}", error, text);
                prop_assert!(place.column >= 1);
            }
        }
    }

    #[test]
    fn a_change_of_a_right_file_does_not_panic(at in 0_usize..3000, what in piece(), cut in 0_usize..20) {
        let text = include_str!("../../../examples/tokenpath.yaml");
        let mut chars: Vec<char> = text.chars().collect();
        let at = at.min(chars.len());
        let end = (at + cut).min(chars.len());
        chars.splice(at..end, what.chars());
        let text: String = chars.into_iter().collect();
        _ = parse("t", &text, &Vocabulary::default());
    }

    #[test]
    fn a_secret_is_in_no_error_and_no_debug_output(
        key in proptest::sample::select(vec!["token", "password", "username"]),
        value in "[a-zA-Z0-9 :#{}$]{0,10}canary[a-zA-Z0-9 :#{}$]{0,10}",
        from_environment in any::<bool>(),
    ) {
        let quoted = serde_json::to_string(&value).unwrap();
        let written = if from_environment { "\"${SECRET}\"".to_owned() } else { quoted };
        let text = format!("sources: [{{kind: vllm, endpoint: localhost:1, auth: {{{key}: {written}}}}}]");
        let loader = Loader::new().environment(move |_| Some(value.clone()));
        match loader.parse("t", &text) {
            Ok(config) if key != "username" => {
                let shown = format!("{config:?}");
                prop_assert!(!shown.contains("canary"), "{}", shown);
            }
            Ok(_) => {}
            Err(errors) => {
                let shown = format!("{errors:?}");
                prop_assert!(key == "username" || !shown.contains("canary"), "{}", shown);
            }
        }
    }

    #[test]
    fn whatever_the_environment_says_is_named_by_its_variable(value in "\\PC{1,20}") {
        for name in Overlay::variables() {
            let overlay = Overlay::from_environment([(name, value.as_str())]);
            if let Err(errors) = Loader::new().overlay(overlay).parse("t", "") {
                let named = errors.iter().all(|error| error.to_string().starts_with(name));
                prop_assert!(named, "{:?}", errors);
            }
        }
    }
}
