//! The backends that this build knows. An explicit list.

use std::sync::Arc;

use tokenpath_config::Reading;
use tokenpath_core::catalogue::Compiled;
use tokenpath_core::exposition::{Format, ParseError};
use tokenpath_core::translate::{Report, TranslateOptions, Translator};
use tokenpath_core::{BoxSource, Desc, Snapshot};
use tokenpath_gateway::{GatewayOptions, GatewayTranslator};
use tokenpath_limitador::{Admin, LimitadorOptions, LimitadorTranslator};
use tokenpath_scrape::Endpoint;
use tokenpath_tgi::{CatalogueOptions, TgiOptions, TgiTranslator};

use crate::sources::{self, Unmade};

/// Reads one page into a snapshot, and says what became of it.
type Translate = fn(&[u8], Format, TranslateOptions, &mut Snapshot) -> Result<Report, ParseError>;

/// A backend.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    /// Its kind, as in the label `backend`.
    pub kind: &'static str,
    /// What it is called in prose.
    pub title: &'static str,
    /// All families that it may give.
    pub describe: fn() -> Vec<Arc<Desc>>,
    /// What becomes of its page; `None` where it is no page.
    pub page: Option<PageBackend>,
    /// How a server of it becomes a source; `None` where it is no server.
    pub source: Option<MakeSource>,
}

/// Makes the source of a server.
type MakeSource = fn(Endpoint, &Reading) -> Result<BoxSource, Unmade>;

/// A backend that is read as a page of text.
#[derive(Clone, Copy, Debug)]
pub struct PageBackend {
    /// Its catalogue.
    pub compiled: fn() -> Arc<Compiled>,
    /// Reads a page.
    pub translate: Translate,
}

/// All of them.
pub const ALL: &[Backend] = &[
    Backend {
        kind: "vllm",
        title: "vLLM",
        describe: || tokenpath_vllm::compiled().describe().to_vec(),
        page: Some(PageBackend {
            compiled: tokenpath_vllm::compiled,
            translate: vllm,
        }),
        source: Some(sources::vllm),
    },
    Backend {
        kind: "tgi",
        title: "TGI",
        describe: || TgiTranslator::describe(with_batch_sizes()),
        page: Some(PageBackend {
            compiled: || tokenpath_tgi::compiled(with_batch_sizes()),
            translate: tgi,
        }),
        source: Some(sources::tgi),
    },
    Backend {
        kind: "limitador",
        title: "Limitador",
        describe: || LimitadorTranslator::describe().to_vec(),
        page: Some(PageBackend {
            compiled: tokenpath_limitador::compiled,
            translate: limitador,
        }),
        source: Some(sources::limitador),
    },
    Backend {
        kind: "gateway",
        title: "endpoint pickers",
        describe: || tokenpath_gateway::compiled().describe().to_vec(),
        page: Some(PageBackend {
            compiled: tokenpath_gateway::compiled,
            translate: gateway,
        }),
        source: Some(sources::gateway),
    },
    Backend {
        kind: "gpu",
        title: "NVIDIA GPUs",
        describe: || tokenpath_gpu::families::families().to_vec(),
        page: None,
        source: None,
    },
];

/// All of them, or the one that a program reads.
pub fn of(kind: Option<&str>) -> impl Iterator<Item = &'static Backend> {
    ALL.iter()
        .filter(move |backend| kind.is_none_or(|kind| kind == backend.kind))
}

/// All that a TGI page may give, its largest histogram too.
fn with_batch_sizes() -> CatalogueOptions {
    let mut options = CatalogueOptions::default();
    options.batch_size_histogram = true;
    options
}

fn vllm(
    page: &[u8],
    format: Format,
    options: TranslateOptions,
    out: &mut Snapshot,
) -> Result<Report, ParseError> {
    let mut translator = Translator::new(tokenpath_vllm::compiled(), options);
    translator.translate(page, format, out)?;
    Ok(translator.report().clone())
}

fn tgi(
    page: &[u8],
    format: Format,
    options: TranslateOptions,
    out: &mut Snapshot,
) -> Result<Report, ParseError> {
    let tgi = TgiOptions {
        translate: options,
        ..TgiOptions::default()
    };
    let mut translator = TgiTranslator::new(tgi);
    translator.translate(page, format, out)?;
    Ok(translator.report().clone())
}

/// The page alone: what only the admin API says is not there.
fn limitador(
    page: &[u8],
    format: Format,
    options: TranslateOptions,
    out: &mut Snapshot,
) -> Result<Report, ParseError> {
    let mut limitador = LimitadorOptions::default();
    limitador.translate = options;
    let mut translator = LimitadorTranslator::new(limitador);
    translator.read_page(page, format)?;
    translator.finish(&Admin::default(), out);
    Ok(translator.report().clone())
}

fn gateway(
    page: &[u8],
    format: Format,
    options: TranslateOptions,
    out: &mut Snapshot,
) -> Result<Report, ParseError> {
    let gateway = GatewayOptions {
        translate: options,
        ..GatewayOptions::default()
    };
    let mut translator = GatewayTranslator::new(gateway);
    translator.translate(page, format, out)?;
    Ok(translator.report().clone())
}

/// The page backend of a kind.
///
/// # Errors
///
/// The kinds there are, where this is none of them.
pub fn find(kind: &str) -> Result<Backend, String> {
    let pages = || ALL.iter().filter(|backend| backend.page.is_some());
    pages()
        .find(|backend| backend.kind == kind)
        .copied()
        .ok_or_else(|| {
            let kinds: Vec<&str> = pages().map(|backend| backend.kind).collect();
            format!(
                "no backend of this kind has a page; there are: {}",
                kinds.join(", ")
            )
        })
}
