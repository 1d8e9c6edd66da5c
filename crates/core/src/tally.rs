//! What was counted while a source was read: nothing is lost silently.

/// Why a sample of a page is not in the model: the values of the label `reason` of
/// `tokenpath_source_dropped_samples_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// Left out on purpose: the catalogue says so (`_created`, `process_*`, `http_*` …).
    LeftOut,
    /// A newer generation of the same quantity is on the page.
    Superseded,
    /// No catalogue knows the family.
    Unmapped,
    /// The series was there before; the first value stays.
    Duplicate,
    /// The family has another type than the catalogue, or the model, knows.
    TypeClash,
    /// The family has a name of ours, or of another one on its page: it cannot be passed through.
    NameClash,
    /// NaN.
    NotANumber,
    /// A value that upstream uses to say "no value".
    Sentinel,
    /// The line was not valid and the source is read leniently.
    InvalidLine,
    /// An older series of a family of which only the newest counts.
    Outdated,
    /// The operator's allow or deny list.
    Filtered,
    /// Over the cap on series of a source.
    SeriesLimit,
}

impl DropReason {
    /// All reasons, in the order of their declaration.
    pub const ALL: [Self; 12] = [
        Self::LeftOut,
        Self::Superseded,
        Self::Unmapped,
        Self::Duplicate,
        Self::TypeClash,
        Self::NameClash,
        Self::NotANumber,
        Self::Sentinel,
        Self::InvalidLine,
        Self::Outdated,
        Self::Filtered,
        Self::SeriesLimit,
    ];

    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LeftOut => "left_out",
            Self::Superseded => "superseded",
            Self::Unmapped => "unmapped",
            Self::Duplicate => "duplicate",
            Self::TypeClash => "type_clash",
            Self::NameClash => "name_clash",
            Self::NotANumber => "not_a_number",
            Self::Sentinel => "sentinel",
            Self::InvalidLine => "invalid_line",
            Self::Outdated => "outdated",
            Self::Filtered => "filtered",
            Self::SeriesLimit => "series_limit",
        }
    }
}

/// Counts of one reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Samples on the page that was read; `None` where none was: a device has no page.
    pub samples: Option<u64>,
    /// Families on the page that no catalogue knows, passed through or not.
    pub unmapped_families: u64,
    /// When the certificate that the target showed ends, in seconds since the epoch; `None` where it
    /// showed none.
    pub certificate_expiry_seconds: Option<i64>,
    dropped: [u64; DropReason::ALL.len()],
    folded: [(&'static str, u64); FOLDED_LABELS_MAX],
}

/// The most labels of a source whose values may be folded.
const FOLDED_LABELS_MAX: usize = 4;

impl Tally {
    /// Counts samples that were read.
    pub fn count_samples(&mut self, samples: u64) {
        *self.samples.get_or_insert(0) += samples;
    }

    /// Counts values of a label that this reading began to fold into one, because there are more of
    /// them than the source keeps apart.
    ///
    /// # Panics
    ///
    /// Where a source folds more than four labels.
    pub fn fold_values(&mut self, label: &'static str, values: u64) {
        let place = self
            .folded
            .iter_mut()
            .find(|(known, _)| *known == label || known.is_empty());
        let Some((known, count)) = place else {
            panic!("a source folds at most {FOLDED_LABELS_MAX} labels");
        };
        *known = label;
        *count += values;
    }

    /// The labels whose values this reading began to fold, with how many of them: what
    /// `tokenpath_labels_folded_total` adds up.
    pub fn folded(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let named = self.folded.iter().filter(|(label, _)| !label.is_empty());
        named.copied()
    }

    /// Counts one dropped sample.
    pub fn drop_sample(&mut self, reason: DropReason) {
        self.drop_samples(reason, 1);
    }

    /// Counts several dropped samples.
    pub fn drop_samples(&mut self, reason: DropReason, samples: u64) {
        self.dropped[reason as usize] += samples;
    }

    /// How many samples were dropped for a reason.
    #[must_use]
    pub const fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }
}
