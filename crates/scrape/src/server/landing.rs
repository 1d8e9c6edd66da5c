//! The page at `/`, for people who open the exporter in a browser.

use std::fmt::Write;

/// What the landing page shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Landing {
    /// The program, `vllm-exporter`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it reads.
    pub sources: Vec<LandingSource>,
}

/// One source on the landing page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LandingSource {
    /// The kind of backend, `vllm`.
    pub backend: String,
    /// `host:port`.
    pub target: String,
    /// How the last reading went.
    pub state: SourceState,
    /// A sentence about it: the error, or the age. May be empty.
    pub detail: String,
}

/// How the last reading of a source went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// It gave a page.
    Up,
    /// It failed.
    Down,
    /// It has not been read yet.
    Unread,
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;\
    padding:0 1rem}table{border-collapse:collapse}td,th{padding:.2rem 1rem .2rem 0;\
    text-align:left;vertical-align:top}.up{color:#060}.down{color:#a00}.unread{color:#666}";

impl Landing {
    /// The HTML. Every text in it is escaped: targets and errors come from outside.
    pub(super) fn html(&self, telemetry_path: &str) -> String {
        let (name, version) = (escape(&self.name), escape(&self.version));
        let path = escape(telemetry_path);
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{name}</title>\
             <style>{STYLE}</style></head><body>\n<h1>{name}</h1>\n<p>Version {version}</p>\n\
             <ul><li><a href=\"{path}\">Metrics</a></li><li><a href=\"/healthz\">Health</a></li>\
             <li><a href=\"/readyz\">Readiness</a></li></ul>\n"
        );
        if !self.sources.is_empty() {
            html.push_str(
                "<table><tr><th>Backend</th><th>Target</th><th>State</th><th></th></tr>\n",
            );
            for source in &self.sources {
                let (class, state) = match source.state {
                    SourceState::Up => ("up", "up"),
                    SourceState::Down => ("down", "down"),
                    SourceState::Unread => ("unread", "not read yet"),
                };
                // Writing to a string does not fail.
                let _ = writeln!(
                    html,
                    "<tr><td>{}</td><td>{}</td><td class=\"{class}\">{state}</td><td>{}</td></tr>",
                    escape(&source.backend),
                    escape(&source.target),
                    escape(&source.detail),
                );
            }
            html.push_str("</table>\n");
        }
        html.push_str("</body></html>\n");
        html
    }
}

/// For text and for attributes in quotes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_everything_from_outside() {
        let evil = "<script>alert(\"x\" & 'y')</script>".to_owned();
        let landing = Landing {
            name: evil.clone(),
            version: evil.clone(),
            sources: vec![LandingSource {
                backend: evil.clone(),
                target: evil.clone(),
                state: SourceState::Down,
                detail: evil,
            }],
        };
        let html = landing.html("/\"><script>");
        assert!(
            !html.contains("<script") && !html.contains("alert(\""),
            "{html}"
        );
        assert_eq!(
            html.matches("&lt;script&gt;alert(&quot;x&quot; &amp; &#39;y&#39;)")
                .count(),
            6
        );
    }

    #[test]
    fn lists_the_sources_with_their_state() {
        let source = |state, detail: &str| LandingSource {
            backend: "vllm".into(),
            target: "h:8000".into(),
            state,
            detail: detail.into(),
        };
        let landing = Landing {
            name: "x".into(),
            version: "1".into(),
            sources: vec![
                source(SourceState::Up, ""),
                source(SourceState::Down, "refused"),
                source(SourceState::Unread, ""),
            ],
        };
        let html = landing.html("/metrics");
        for part in [
            "<a href=\"/metrics\">",
            "<td class=\"up\">up</td><td></td>",
            "<td class=\"down\">down</td><td>refused</td>",
            "<td class=\"unread\">not read yet</td>",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
    }
}
