//! Pages of the documentation show pieces of these programs. Each piece must be in its program, line
//! by line, so that what is shown is what runs.

const EMBED: &str = include_str!("../src/bin/embed.rs");
const ROUTE: &str = include_str!("../src/bin/route.rs");
const WITH_PROMETHEUS_CLIENT: &str = include_str!("../src/bin/with_prometheus_client.rs");
const OWN_SOURCE: &str = include_str!("../src/bin/own_source.rs");

/// The Rust blocks of a page.
fn pieces(page: &str) -> impl Iterator<Item = &str> {
    page.split("```rust\n")
        .skip(1)
        .map(|rest| rest.split_once("```").map_or(rest, |(piece, _)| piece))
}

#[track_caller]
fn shows(page: &str, programs: &[&str], at_least: usize) {
    for piece in pieces(page) {
        assert!(
            programs.iter().any(|program| program.contains(piece)),
            "in no program:\n{piece}"
        );
    }
    let found = pieces(page).count();
    assert!(found >= at_least, "only {found} pieces");
}

#[test]
fn the_readme_shows_embed() {
    shows(include_str!("../../README.md"), &[EMBED], 2);
}

#[test]
fn embedding_shows_its_three_programs() {
    let programs = [EMBED, WITH_PROMETHEUS_CLIENT, ROUTE];
    shows(include_str!("../../docs/embedding.md"), &programs, 7);
}

#[test]
fn write_your_own_source_shows_own_source() {
    shows(
        include_str!("../../docs/write-your-own-source.md"),
        &[OWN_SOURCE],
        4,
    );
}
