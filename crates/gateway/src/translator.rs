//! A page with its fairness ids bounded.

use std::borrow::Cow;
use std::fmt;

use tokenpath_core::exposition::{Format, ParseError};
use tokenpath_core::fold::{BoundedValues, Fold};
use tokenpath_core::translate::{Report, TranslateOptions, Translator};
use tokenpath_core::{MetricType, Snapshot};

use crate::compiled;

/// What values over the limit are called.
pub const OTHER: &str = "other";

/// The label that clients choose.
const BOUNDED: &str = "fairness_id";

/// How the pages of a gateway are read.
#[derive(Clone, Copy, Debug)]
pub struct GatewayOptions {
    /// How a page is parsed.
    pub translate: TranslateOptions,
    /// Most values of `fairness_id` that keep series of their own; 100 by default. The others share
    /// `fairness_id="other"`, their values added up.
    pub fairness_limit: usize,
}

impl Default for GatewayOptions {
    fn default() -> Self {
        Self {
            translate: TranslateOptions::default(),
            fairness_limit: 100,
        }
    }
}

/// Translates the pages of one gateway, one after another.
///
/// Once warm, a page with the series of the page before costs no allocation.
pub struct GatewayTranslator {
    page: Translator,
    translated: Snapshot,
    fairness: BoundedValues,
    fold: Fold,
}

impl GatewayTranslator {
    /// A translator for one gateway.
    #[must_use]
    pub fn new(options: GatewayOptions) -> Self {
        Self {
            page: Translator::new(compiled(), options.translate),
            translated: Snapshot::new(),
            fairness: BoundedValues::new(options.fairness_limit),
            fold: Fold::new(),
        }
    }

    /// Reads a page into `out`, whatever was in it. How many fairness ids this page was the first to
    /// fold is in the tally of `out`.
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
        let parts = [&self.translated];
        let mut folded = 0;
        if !self.fold.knows(&parts) {
            folded = self.fairness.admit(weights(&self.translated));
        }
        let fairness = &self.fairness;
        self.fold.run(&parts, out, |series| {
            let label = series.labels.iter_mut().find(|(name, _)| name == BOUNDED);
            if let Some((_, value)) = label
                && !fairness.keeps(value)
            {
                *value = Cow::Borrowed(OTHER);
            }
            true
        });
        out.tally_mut().fold_values(BOUNDED, folded);
        Ok(())
    }

    /// What became of each family of the newest page that had something new.
    #[must_use]
    pub fn report(&self) -> &Report {
        self.page.report()
    }
}

/// The fairness ids that the shape knows, each with what its series count. One that is away for a
/// page keeps its place, so that it is itself again when it comes back.
fn weights(snapshot: &Snapshot) -> impl Iterator<Item = (&str, f64)> {
    let series = snapshot.shape().families().flat_map(|family| {
        let kind = family.desc().kind();
        family.series().map(move |series| (kind, series))
    });
    series.filter_map(|(kind, series)| {
        let counts = matches!(kind, MetricType::Counter | MetricType::Histogram);
        let count = snapshot.get(series.count_slot()).filter(|_| counts);
        Some((series.label(BOUNDED)?, count.unwrap_or(0.0)))
    })
}

/// Without the fairness ids that are kept apart.
impl fmt::Debug for GatewayTranslator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayTranslator")
            .field("fairness_kept", &self.fairness.kept())
            .field("fairness_folded", &self.fairness.folded())
            .finish_non_exhaustive()
    }
}
