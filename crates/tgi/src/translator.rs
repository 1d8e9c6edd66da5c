//! A page and what `/info` says, as one snapshot.

use std::borrow::Cow;
use std::sync::Arc;

use tokenpath_core::exposition::{Format, ParseError};
use tokenpath_core::fold::{Fold, FoldSeries};
use tokenpath_core::translate::{Report, TranslateOptions, Translator};
use tokenpath_core::{Desc, Snapshot};

use crate::{CatalogueOptions, Info, compiled, info};

/// How the pages of a server are read.
#[derive(Clone, Debug, Default)]
pub struct TgiOptions {
    /// What is taken over from a page.
    pub catalogue: CatalogueOptions,
    /// How a page is parsed.
    pub translate: TranslateOptions,
    /// The text of the label `model_name`, instead of the `model_id` that the server says.
    pub model_name: Option<String>,
}

/// Translates the pages of one TGI server, one after another.
///
/// Once warm, a page costs no allocation, in whatever order the server writes it: TGI's order
/// changes from page to page.
#[derive(Debug)]
pub struct TgiTranslator {
    page: Translator,
    translated: Snapshot,
    info: Snapshot,
    configured_model: Option<String>,
    model: Option<String>,
    fold: Fold,
}

impl TgiTranslator {
    /// A translator for one server. Series have no `model_name` until there is one to give.
    #[must_use]
    pub fn new(options: TgiOptions) -> Self {
        Self {
            page: Translator::new(compiled(options.catalogue), options.translate),
            translated: Snapshot::new(),
            info: Snapshot::new(),
            model: options.model_name.clone(),
            configured_model: options.model_name,
            fold: Fold::new(),
        }
    }

    /// All families that it may give.
    #[must_use]
    pub fn describe(options: CatalogueOptions) -> Vec<Arc<Desc>> {
        let mut all = compiled(options).describe().to_vec();
        let beside = info::families().iter();
        let new: Vec<_> = beside
            .filter(|desc| all.iter().all(|known| known.name() != desc.name()))
            .cloned()
            .collect();
        all.extend(new);
        all
    }

    /// Takes over what the server says of itself, for all pages from now on.
    pub fn set_info(&mut self, info: &Info) {
        info.write(&mut self.info);
        let model = self.configured_model.as_ref().or(info.model_id.as_ref());
        if model != self.model.as_ref() {
            self.model = model.cloned();
            self.fold.forget();
        }
    }

    /// The model that the series are labelled with.
    #[must_use]
    pub fn model_name(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Reads a page into `out`, whatever was in it.
    ///
    /// # Errors
    ///
    /// Where the page is not valid; `out` is then empty.
    pub fn translate(
        &mut self,
        page: &[u8],
        format: Format,
        out: &mut Snapshot,
    ) -> Result<(), ParseError> {
        if let Err(error) = self.page.translate(page, format, &mut self.translated) {
            out.clear();
            return Err(error);
        }
        let model = self.model.as_deref().unwrap_or_default();
        let parts = [&self.translated, &self.info];
        self.fold.run(&parts, out, |series| labelled(series, model));
        Ok(())
    }

    /// What became of each family of the newest page that had something new.
    #[must_use]
    pub fn report(&self) -> &Report {
        self.page.report()
    }
}

fn labelled(series: &mut FoldSeries<'_>, model: &str) -> bool {
    let model = Cow::Owned(model.to_owned());
    series.labels.push((Cow::Borrowed("model_name"), model));
    true
}
