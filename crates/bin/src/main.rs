//! Tokenpath.
mod parse;
use std::io::{Read, Write};
fn main() -> std::process::ExitCode {
    let format = std::env::args()
        .next_back()
        .unwrap_or_default()
        .parse()
        .expect("format");
    let mut page = Vec::new();
    std::io::stdin().read_to_end(&mut page).expect("stdin");
    let mut out = std::io::BufWriter::new(std::io::stdout());
    match parse::run(
        &page,
        tokenpath_core::exposition::Options::new(format),
        &mut out,
    ) {
        Ok(_) => {
            out.flush().expect("out");
            std::process::ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("{e}");
            std::process::ExitCode::FAILURE
        }
    }
}
