//! Whether a page is what it should be, in words that help: for sources that read more than a page
//! and so are no [`PageSource`](crate::PageSource).

use tokenpath_core::exposition::ParseError;
use tokenpath_core::translate::Report;
use tokenpath_core::{CollectError, Reason};

use crate::{Endpoint, identify};

/// Whether a page that was read is one of the backend `kind`: some of it is in the model.
///
/// # Errors
///
/// [`Reason::Empty`] without a sample, [`Reason::WrongBackend`] where nothing is in the model or the
/// page is one of ours; the message says whose page it looks like.
pub fn judge(endpoint: &Endpoint, kind: &str, report: &Report) -> Result<(), CollectError> {
    if report.families.is_empty() {
        let what = format!(
            "{endpoint} answers with an empty page: is the server still starting, or is this another path?"
        );
        return Err(CollectError::new(Reason::Empty, what));
    }
    let names = || report.families.iter().map(|family| family.name.as_str());
    if identify::is_our_own(names()) {
        let what = format!(
            "{endpoint} is an exporter of Tokenpath itself: give it the engine's own address"
        );
        return Err(CollectError::new(Reason::WrongBackend, what));
    }
    if report.any_mapped() {
        return Ok(());
    }
    let what = match identify::backend(names()) {
        Some(other) => format!("{endpoint} is no {kind} page; it looks like {other}"),
        None => {
            let seen: Vec<&str> = names().take(3).collect();
            format!(
                "{endpoint} is no {kind} page; it begins with {}",
                seen.join(", ")
            )
        }
    };
    Err(CollectError::new(Reason::WrongBackend, what))
}

/// Why a page could not be parsed, with what it seems to be instead.
#[must_use]
pub fn unreadable(endpoint: &Endpoint, page: &[u8], error: ParseError) -> CollectError {
    let what = match page.trim_ascii_start().first() {
        Some(b'<') => {
            format!("{endpoint} answers with HTML, not with metrics: is the path right? ({error})")
        }
        Some(b'{' | b'[') => {
            format!("{endpoint} answers with JSON, not with metrics: is the path right? ({error})")
        }
        _ => format!("the page of {endpoint} is not valid: {error}"),
    };
    CollectError::new(Reason::Parse, what)
}
